//! Which policies are public.

use super::{policy, statement};

#[track_caller]
fn check(members: &str, expected: bool) {
    let rest = "'Action':'s3:GetObject','Resource':'arn:aws:s3:::examplebucket/*'";
    assert_eq!(policy(&statement(&format!("{members},{rest}"))).is_public(), expected, "{members}");
}

#[track_caller]
fn check_everyone(condition: &str, expected: bool) {
    check(&format!("'Effect':'Allow','Principal':'*','Condition':{condition}"), expected);
}

#[test]
fn principals() {
    check("'Effect':'Allow','Principal':'*'", true);
    check("'Effect':'Allow','Principal':{'AWS':'*'}", true);
    check("'Effect':'Allow','Principal':{'AWS':['7','*']}", true);
    check("'Effect':'Allow','Principal':{'AWS':'7'}", false);
    check("'Effect':'Allow','Principal':{'AWS':'arn:aws:iam::s3tenant1:root'}", false);
    check("'Effect':'Deny','Principal':'*'", false);
    check("'Effect':'Deny','NotPrincipal':{'AWS':'7'}", false);
}

#[test]
fn addresses() {
    let check_ip = |operator: &str, values: &str, expected| {
        check_everyone(&format!("{{'{operator}':{{'aws:SourceIp':{values}}}}}"), expected);
    };
    check_ip("IpAddress", "'10.0.0.0/32'", false);
    check_ip("IpAddress", "'10.0.0.0/8'", false);
    check_ip("IpAddress", "'8.0.0.0/7'", true);
    check_ip("IpAddress", "'0.0.0.0/0'", true);
    check_ip("IpAddress", "'0.0.0.0/1'", true);
    check_ip("IpAddress", "'2001:db8::/32'", false);
    check_ip("IpAddress", "'2001:db8::/31'", true);
    check_ip("IpAddress", "['203.0.113.0/24','2001:db8::/48']", false);
    check_ip("IpAddress", "['203.0.113.0/24','0.0.0.0/0']", true);
    check_ip("NotIpAddress", "'203.0.113.0/24'", true);
    check_ip("IpAddressIfExists", "'203.0.113.0/24'", true);
    check_ip("ForAllValues:IpAddress", "'203.0.113.0/24'", true);
    check_ip("ForAnyValue:IpAddress", "'203.0.113.0/24'", false);
    check_ip("StringEquals", "'203.0.113.7'", false);
    check_ip("StringLike", "'203.*'", true);
    check_ip("Null", "'false'", true);
}

#[test]
fn arns() {
    let check_arn = |operator: &str, values: &str, expected| {
        check_everyone(&format!("{{'{operator}':{{'aws:PrincipalArn':{values}}}}}"), expected);
    };
    for operator in ["StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"] {
        check_arn(operator, "'arn:aws:iam::7:user/app'", false);
        check_arn(operator, "'arn:aws:iam::7:user/*'", true);
        check_arn(operator, "['arn:aws:iam::7:user/app','arn:aws:iam::8:user/a?p']", true);
        check_arn(&format!("{operator}IfExists"), "'arn:aws:iam::7:user/app'", true);
    }
    check_arn("StringNotEquals", "'arn:aws:iam::7:user/app'", true);
    check_arn("ArnNotLike", "'arn:aws:iam::7:user/app'", true);
    check_arn("Null", "'false'", true);
}

#[test]
fn other_keys_fix_nobody() {
    check_everyone("{'StringEquals':{'aws:Referer':'https://example.com/'}}", true);
    check_everyone("{'Bool':{'aws:SecureTransport':'true'}}", true);
    check_everyone("{'StringEquals':{'s3:ExistingObjectTag/public':'yes'}}", true);
    check_everyone(
        "{'StringEquals':{'aws:UserAgent':'secret'},'IpAddress':{'aws:SourceIp':'10.1.0.0/16'}}",
        false,
    );
}

/// One public statement makes the policy so, and no Deny makes it otherwise.
#[test]
fn one_is_enough() {
    let statement = |effect: &str, principal: &str| {
        format!(
            r#"{{"Effect":"{effect}","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::examplebucket/*"}}"#
        )
    };
    let (fixed, public, deny) =
        (statement("Allow", r#"{"AWS":"7"}"#), statement("Allow", "\"*\""), statement("Deny", "\"*\""));
    assert!(policy(&format!(r#"{{"Statement":[{fixed},{public},{deny}]}}"#)).is_public());
    assert!(!policy(&format!(r#"{{"Statement":[{fixed},{deny}]}}"#)).is_public());
}
