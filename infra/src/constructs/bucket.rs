use serde_json::json;

use super::{Grant, logical};
use crate::cfn::{self, Exp, Template, s3};

/// A bucket of the stack's own: private and encrypted.
#[derive(Debug)]
pub struct Bucket {
    id: String,
}

impl Bucket {
    /// Adds the bucket. What is in it expires after `days`, if any. CloudFormation names it: bucket names are global.
    pub fn new(template: &mut Template, name: &'static str, days: Option<i32>, keep: bool) -> Self {
        let id = format!("{}Bucket", logical(name));
        let mut lifecycle = s3::bucket::Rule! {
            id: if days.is_some() { "Expire" } else { "Abort" },
            status: "Enabled",
            abort_incomplete_multipart_upload: s3::bucket::AbortIncompleteMultipartUpload! { days_after_initiation: 1 }
        };
        lifecycle.expiration_in_days = days;
        let mut bucket = private();
        bucket.lifecycle_configuration = Some(s3::bucket::LifecycleConfiguration! { rules: vec![lifecycle] });
        template.add(id.as_str(), &bucket).keep(keep);
        Self { id }
    }

    /// Adds a bucket whose objects stay, with every earlier version of them for `days`.
    pub fn versioned(template: &mut Template, name: &'static str, days: i32, keep: bool) -> Self {
        let id = format!("{}Bucket", logical(name));
        let mut bucket = private();
        bucket.versioning_configuration = Some(s3::bucket::VersioningConfiguration! { status: "Enabled" });
        bucket.lifecycle_configuration = Some(s3::bucket::LifecycleConfiguration! {
            rules: vec![s3::bucket::Rule! {
                id: "ForgetEarlierVersions",
                status: "Enabled",
                noncurrent_version_expiration: s3::bucket::NoncurrentVersionExpiration! { noncurrent_days: days },
                abort_incomplete_multipart_upload: s3::bucket::AbortIncompleteMultipartUpload! { days_after_initiation: 1 }
            }]
        });
        template.add(id.as_str(), &bucket).keep(keep);
        Self { id }
    }

    /// Adds a bucket whose objects nobody deletes or changes for `days`, save with `s3:BypassGovernanceRetention`.
    pub fn locked(template: &mut Template, name: &'static str, days: i32, keep: bool) -> Self {
        let id = format!("{}Bucket", logical(name));
        let mut bucket = private();
        // What is locked is versioned (S3 user guide, "Locking objects with Object Lock").
        bucket.versioning_configuration = Some(s3::bucket::VersioningConfiguration! { status: "Enabled" });
        bucket.object_lock_enabled = Some(true.into());
        bucket.object_lock_configuration = Some(s3::bucket::ObjectLockConfiguration! {
            object_lock_enabled: "Enabled",
            rule: s3::bucket::ObjectLockRule! {
                default_retention: s3::bucket::DefaultRetention! { mode: "GOVERNANCE", days: days }
            }
        });
        template.add(id.as_str(), &bucket).keep(keep);
        Self { id }
    }

    /// Refuses every request that does not come over TLS.
    pub fn insist_on_tls(&self, template: &mut Template) {
        template.add(
            format!("{}Policy", self.id),
            &s3::BucketPolicy! {
                bucket: cfn::reference(&self.id),
                policy_document: json!({
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Sid": "OnlyOverTls",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [cfn::json(&cfn::arn(&self.id)), { "Fn::Sub": format!("${{{}.Arn}}/*", self.id) }],
                        "Condition": { "Bool": { "aws:SecureTransport": "false" } }
                    }]
                })
            },
        );
    }

    /// Leave to write objects under a prefix.
    #[must_use]
    pub fn put(&self, prefix: &str) -> Grant {
        Grant::new("PutObjects", ["s3:PutObject"], vec![self.objects(prefix)])
    }

    /// Leave to read objects under a prefix.
    #[must_use]
    pub fn get(&self, prefix: &str) -> Grant {
        Grant::new("GetObjects", ["s3:GetObject"], vec![self.objects(prefix)])
    }

    /// Leave to delete objects under a prefix.
    #[must_use]
    pub fn delete(&self, prefix: &str) -> Grant {
        Grant::new("DeleteObjects", ["s3:DeleteObject"], vec![self.objects(prefix)])
    }

    /// Leave to read one object.
    #[must_use]
    pub fn get_object(&self, key: &str) -> Grant {
        Grant::new("GetObject", ["s3:GetObject"], vec![cfn::sub(format!("${{{}.Arn}}/{key}", self.id))])
    }

    /// Leave to write one object.
    #[must_use]
    pub fn put_object(&self, key: &str) -> Grant {
        Grant::new("PutObject", ["s3:PutObject"], vec![cfn::sub(format!("${{{}.Arn}}/{key}", self.id))])
    }

    /// Leave to see which objects there are: without it, S3 does not say of an object that it is not there.
    #[must_use]
    pub fn list_all(&self) -> Grant {
        Grant::new("ListObjects", ["s3:ListBucket"], vec![cfn::arn(&self.id)])
    }

    /// Names of objects are made as they are written, so a prefix is as near as a grant can come.
    fn objects(&self, prefix: &str) -> Exp {
        cfn::sub(format!("${{{}.Arn}}/{prefix}/*", self.id))
    }

    /// The bucket's name.
    pub(crate) fn name(&self) -> Exp {
        cfn::reference(&self.id)
    }
}

/// A bucket that is private and encrypted.
fn private() -> s3::Bucket_ {
    s3::Bucket! {
        bucket_encryption: s3::bucket::BucketEncryption! {
            server_side_encryption_configuration: vec![s3::bucket::ServerSideEncryptionRule! {
                server_side_encryption_by_default: s3::bucket::ServerSideEncryptionByDefault! { sse_algorithm: "AES256" }
            }]
        },
        public_access_block_configuration: s3::bucket::PublicAccessBlockConfiguration! {
            block_public_acls: true, block_public_policy: true, ignore_public_acls: true, restrict_public_buckets: true
        },
        ownership_controls: s3::bucket::OwnershipControls! {
            rules: vec![s3::bucket::OwnershipControlsRule! { object_ownership: "BucketOwnerEnforced" }]
        }
    }
}
