//! What a blob's last row is told of the object it is for: the sealed recovery manifest (`holdfast_common::recovery`).

use bytes::Bytes;
use holdfast_common::wire;
use holdfast_protocol::access::{Grant, PutObject};
use holdfast_protocol::record::{put_tlv, tlv};

use super::{Core, Env};
use crate::blob::BlobWritten;
use crate::rt::Rt as _;

impl<E: Env> Core<E> {
    /// The fields that the records of the last row carry: what `put` is going to tell the authority. Empty where the
    /// authority gave this node no key for that; a PUT never fails for it.
    pub fn recovery_fields(
        &self,
        grant: &Grant<PutObject>,
        planned: &BlobWritten,
        put: &wire::PutObject,
    ) -> Bytes {
        let view = self.view();
        let Some(key) = view.manifest_key.as_ref() else { return Bytes::new() };
        let target = grant.resource();
        let mut manifest = put.manifest.clone().unwrap_or_default();
        manifest.parts.iter_mut().for_each(|part| part.blob = Some(planned.to_wire(0)));
        let manifest = wire::RecoveryManifest {
            bucket_id: target.bucket.bucket_id.0,
            bucket_name: target.bucket.name.as_str().to_owned(),
            bucket_tenant_id: target.bucket.tenant_id.0,
            key: target.key.clone().into_bytes(),
            tenant_id: grant.sender().map_or(0, |key| key.tenant_id.0),
            size: put.size,
            etag: put.etag.clone(),
            meta: put.meta.clone(),
            manifest: Some(manifest),
            backends: planned.backends.iter().map(|backend| backend.0).collect(),
            meta_cut: false,
        };
        let mut nonce = [0; 12];
        E::Rt::random(&mut nonce);
        let mut fields = Vec::new();
        if let Some(sealed) = key.seal(planned.op_id, nonce, manifest) {
            put_tlv(&mut fields, tlv::RECOVERY_MANIFEST, &sealed);
        }
        fields.into()
    }
}
