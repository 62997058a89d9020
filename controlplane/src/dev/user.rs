//! Whom PostgreSQL runs as: ourselves, or an unprivileged user when we are root, whom it refuses.

use std::path::Path;

use super::DevError;

/// A user of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Who runs PostgreSQL: the owner of a cluster that exists, else `postgres`, else `nobody`; `None`: we do, not being root.
pub(super) fn for_postgres(cluster: &Path) -> Result<Option<User>, DevError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let owner = std::fs::metadata(cluster).ok().map(|found| std::os::unix::fs::MetadataExt::uid(&found));
    choose(&passwd, owner).map(Some).ok_or(DevError::NoUser)
}

/// Name of a user, for PostgreSQL's peer authentication.
pub(super) fn name_of(uid: u32) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    users(&passwd).find(|user| user.uid == uid).map(|user| user.name)
}

fn choose(passwd: &str, owner: Option<u32>) -> Option<User> {
    let owner = owner.filter(|uid| *uid != 0).and_then(|uid| users(passwd).find(|user| user.uid == uid));
    owner
        .or_else(|| users(passwd).find(|user| user.name == "postgres" && user.uid != 0))
        .or_else(|| users(passwd).find(|user| user.name == "nobody" && user.uid != 0))
}

fn users(passwd: &str) -> impl Iterator<Item = User> + '_ {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { name, uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::choose;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\nbroken\nann:x:1000:1000::/:\n";

    #[test]
    fn the_owner_of_a_cluster_stays_its_user() {
        assert_eq!(choose(PASSWD, Some(1000)).expect("found").name, "ann");
        assert_eq!(choose(PASSWD, Some(0)).expect("found").name, "nobody");
        let with = format!("{PASSWD}postgres:x:101:104::/:\n");
        let user = choose(&with, None).expect("found");
        assert_eq!((user.name.as_str(), user.uid, user.gid), ("postgres", 101, 104));
        assert_eq!(choose("root:x:0:0::/:\n", None), None);
    }
}
