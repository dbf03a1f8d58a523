//! The functions' code: from a binary to an object in the account's code bucket.

use std::io::{Cursor, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::head_bucket::HeadBucketError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint, CreateBucketConfiguration, ExpirationStatus,
    LifecycleRule, LifecycleRuleFilter, PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use flywheel_infra::FunctionCode;
use serde_json::json;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;

use crate::{Architecture, Options, Progress, say};

/// Where a stack's code lies in the code bucket.
pub(crate) fn prefix(stack: &str) -> String {
    format!("{stack}/functions/")
}

/// A binary with more bytes than this is a development build, which goes to the local AWS only: compressing sixteen of them
/// well takes longer than all else of a deployment.
const DEVELOPMENT_BUILD: usize = 32 * 1024 * 1024;

/// A function's binary, and the key that its content gives it.
#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) name: &'static str,
    pub(crate) parameter: &'static str,
    pub(crate) key: String,
    content: Vec<u8>,
}

impl Binary {
    pub(crate) fn find(options: &Options, function: FunctionCode) -> Result<Self> {
        let places: [PathBuf; 2] = [options.functions.join(function.name).join("bootstrap"), options.functions.join(function.name)];
        let Some(path) = places.iter().find(|path| path.is_file()) else {
            bail!(
                "there is no binary of {} in {}\nnext: cargo lambda build --release, then deploy --functions target/lambda",
                function.name,
                options.functions.display()
            );
        };
        let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        match architecture(&content) {
            Some(found) if found == options.architecture => {}
            Some(found) => bail!(
                "{} is built for {}, and the stack is for {}\nnext: deploy --architecture {}",
                path.display(),
                found.as_str(),
                options.architecture.as_str(),
                found.as_str()
            ),
            None => bail!("{} is no Linux program for x86_64 or arm64\nnext: cargo lambda build --release", path.display()),
        }
        // Named by what it does, not by the zip: an unchanged binary is the same object, and CloudFormation leaves the
        // function alone.
        let key = format!("{}{}/{}.zip", prefix(&options.stack), function.name, hex::encode(Sha256::digest(&content)));
        Ok(Self { name: function.name, parameter: function.parameter, key, content })
    }

    /// The zip that Lambda takes, the same bytes for the same binary: its only time is the zip format's zero, 1980.
    fn zip(&self) -> Result<Vec<u8>> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let file = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level((self.content.len() > DEVELOPMENT_BUILD).then_some(1))
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(0o755);
        zip.start_file("bootstrap", file)?;
        zip.write_all(&self.content)?;
        Ok(zip.finish()?.into_inner())
    }
}

/// What an ELF program was built for: `e_machine` at offset 18 of its header.
fn architecture(program: &[u8]) -> Option<Architecture> {
    if !program.starts_with(b"\x7fELF") {
        return None;
    }
    match program.get(18..20)? {
        [0x3e, 0] => Some(Architecture::X86_64),
        [0xb7, 0] => Some(Architecture::Arm64),
        _ => None,
    }
}

/// The account's bucket of code in a Region.
#[derive(Debug)]
pub(crate) struct Bucket {
    s3: Client,
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) region: String,
}

/// Where a template lies that is too large for a request.
pub(crate) fn template_key(stack: &str) -> String {
    format!("{stack}/template.json")
}

impl Bucket {
    pub(crate) fn new(s3: Client, account: &str, region: &str) -> Self {
        Self { s3, name: format!("flywheel-code-{account}-{region}"), account: account.to_owned(), region: region.to_owned() }
    }

    /// Creates the bucket on first use: private, encrypted, reached by TLS only. It is not versioned, since a key is
    /// named by its content and never written twice.
    ///
    /// Its name can be guessed, so every call names the owner it expects: code never goes to, or comes from, a bucket
    /// that another account made first.
    pub(crate) async fn ensure(&self, progress: &mut impl FnMut(Progress)) -> Result<()> {
        let (name, account) = (&self.name, &self.account);
        match self.s3.head_bucket().bucket(name).expected_bucket_owner(account).send().await {
            Ok(_) => return Ok(()),
            Err(error) if error.as_service_error().is_some_and(HeadBucketError::is_not_found) => {}
            Err(error) => {
                return Err(say(format!("cannot use the code bucket {name}; if it belongs to another account, tell AWS Support"))(error));
            }
        }
        progress(Progress::Step(format!("creating the code bucket {name}")));
        let place = (self.region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(self.region.as_str())).build()
        });
        self.s3
            .create_bucket()
            .bucket(name)
            .set_create_bucket_configuration(place)
            .send()
            .await
            .map_err(say(format!("cannot create the code bucket {name}")))?;
        self.s3
            .put_public_access_block()
            .bucket(name)
            .expected_bucket_owner(account)
            .public_access_block_configuration(
                PublicAccessBlockConfiguration::builder()
                    .block_public_acls(true)
                    .ignore_public_acls(true)
                    .block_public_policy(true)
                    .restrict_public_buckets(true)
                    .build(),
            )
            .send()
            .await
            .map_err(say(format!("cannot block public access to {name}")))?;
        let encryption = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(
                ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256).build()?,
            )
            .build();
        self.s3
            .put_bucket_encryption()
            .bucket(name)
            .expected_bucket_owner(account)
            .server_side_encryption_configuration(ServerSideEncryptionConfiguration::builder().rules(encryption).build()?)
            .send()
            .await
            .map_err(say(format!("cannot set the encryption of {name}")))?;
        // Old code is not left to a lifecycle rule, which cannot tell what a roll-back still needs: see `prune`.
        let lifecycle = LifecycleRule::builder()
            .id("unfinished-uploads")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .abort_incomplete_multipart_upload(AbortIncompleteMultipartUpload::builder().days_after_initiation(1).build())
            .build()?;
        self.s3
            .put_bucket_lifecycle_configuration()
            .bucket(name)
            .expected_bucket_owner(account)
            .lifecycle_configuration(BucketLifecycleConfiguration::builder().rules(lifecycle).build()?)
            .send()
            .await
            .map_err(say(format!("cannot set the lifecycle of {name}")))?;
        let partition = match self.region.split('-').next() {
            Some("cn") => "aws-cn",
            Some("us") if self.region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [format!("arn:{partition}:s3:::{name}"), format!("arn:{partition}:s3:::{name}/*")],
                "Condition": { "Bool": { "aws:SecureTransport": "false" } }
            }]
        });
        self.s3
            .put_bucket_policy()
            .bucket(name)
            .expected_bucket_owner(account)
            .policy(policy.to_string())
            .send()
            .await
            .map_err(say(format!("cannot set the policy of {name}")))?;
        Ok(())
    }

    /// Puts a binary's zip where it is not there yet, and says whether it had to.
    pub(crate) async fn put_code(&self, binary: &Binary) -> Result<bool> {
        if self.has(&binary.key).await? {
            return Ok(false);
        }
        self.put(&binary.key, binary.zip()?).await?;
        // An absent object looks like success to some of the ways on: Lambda must find it.
        if !self.has(&binary.key).await? {
            bail!("{} was uploaded to {}/{} and is not there", binary.name, self.name, binary.key);
        }
        Ok(true)
    }

    pub(crate) async fn put(&self, key: &str, content: Vec<u8>) -> Result<()> {
        self.s3
            .put_object()
            .bucket(&self.name)
            .key(key)
            .expected_bucket_owner(&self.account)
            .body(ByteStream::from(content))
            .send()
            .await
            .map_err(say(format!("cannot upload {key} to {}", self.name)))?;
        Ok(())
    }

    /// Takes away the template of a plan that is not carried out, and the bucket if it is empty then.
    pub(crate) async fn give_back(&self, stack: &str) -> Result<()> {
        let (name, account) = (&self.name, &self.account);
        match self.s3.delete_object().bucket(name).key(template_key(stack)).expected_bucket_owner(account).send().await {
            Ok(_) => {}
            Err(error) if error.code() == Some("NoSuchBucket") => return Ok(()),
            Err(error) => return Err(say(format!("cannot delete the template from {name}"))(error)),
        }
        match self.s3.delete_bucket().bucket(name).expected_bucket_owner(account).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("BucketNotEmpty") => Ok(()),
            Err(error) => Err(say(format!("cannot delete the bucket {name}"))(error)),
        }
    }

    async fn has(&self, key: &str) -> Result<bool> {
        match self.s3.head_object().bucket(&self.name).key(key).expected_bucket_owner(&self.account).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(false),
            Err(error) => Err(say(format!("cannot look for {key} in {}", self.name))(error)),
        }
    }

    /// Deletes what lies under a prefix, but for the keys to keep.
    pub(crate) async fn prune(&self, prefix: &str, keep: &[String]) -> Result<()> {
        let mut pages =
            self.s3.list_objects_v2().bucket(&self.name).prefix(prefix).expected_bucket_owner(&self.account).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(say("cannot list it"))?;
            for key in page.contents().iter().filter_map(|object| object.key()).filter(|key| !keep.iter().any(|kept| kept == key)) {
                self.s3
                    .delete_object()
                    .bucket(&self.name)
                    .key(key)
                    .expected_bucket_owner(&self.account)
                    .send()
                    .await
                    .map_err(say(format!("cannot delete {key}")))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_binary_gives_the_same_zip_and_key() {
        let directory = std::env::temp_dir().join(format!("flywheel-code-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("record")).expect("a directory");
        let mut program = vec![0; 64];
        program[..4].copy_from_slice(b"\x7fELF");
        program[18] = 0x3e;
        std::fs::write(directory.join("record/bootstrap"), &program).expect("a file");
        let options = Options::new("", &directory);
        let function = FunctionCode { name: "record", parameter: "RecordCodeKey", output: "RecordFunction" };
        let (first, second) = (Binary::find(&options, function).expect("found"), Binary::find(&options, function).expect("found"));
        assert_eq!(first.key, second.key);
        assert_eq!(first.zip().expect("a zip"), second.zip().expect("a zip"));
        let wrong = Options { architecture: Architecture::Arm64, ..options };
        assert!(Binary::find(&wrong, function).expect_err("built for another").to_string().contains("--architecture x86_64"));
        std::fs::remove_dir_all(directory).expect("the directory goes");
    }
}
