//! What a template that is about to be deployed needs: derived before its first release, from the schemas of its types.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use aws_config::SdkConfig;
use clap::{Args, ValueEnum};
use flywheel_adapters::Registry;
use flywheel_ports::ResourceTypes;
use flywheel_templates::{Derived, Handler, LARGEST, Place, Schema, Template, derive};
use futures::StreamExt;

/// Requests to the registry at the same time.
const AT_ONCE: usize = 4;

/// The most bytes of a schema, and how many a collection may have: the registry's largest has less than 1 MB, and a Region some
/// 1,500.
const SCHEMA: u64 = 4_000_000;
const SCHEMAS: usize = 10_000;

/// The schemas of a template's types, or why one is not there.
type Schemas = BTreeMap<String, Result<Schema, String>>;

#[derive(Args)]
pub(crate) struct FromTemplate {
    /// A template of CloudFormation that is about to be deployed, JSON or YAML: what its resource types' handlers list is
    /// checked too
    #[arg(long, requires = "role")]
    template: Option<PathBuf>,
    /// The ARN of the role that deploys it: the stack's service role if it has one
    #[arg(long, requires = "template")]
    role: Option<String>,
    /// Schemas of resource types, as CloudFormation offers them for download: a folder or a zip; without it, the registry is
    /// asked (cloudformation:DescribeType)
    #[arg(long, requires = "template")]
    schemas: Option<PathBuf>,
    /// A parameter of the template, as NAME=VALUE; those that are not given take their defaults
    #[arg(long, requires = "template", value_parser = parameter)]
    parameter: Vec<(String, String)>,
    /// The name of the stack that it will be; without it, names that CloudFormation makes are not known
    #[arg(long, requires = "template")]
    stack_name: Option<String>,
    /// What is done with its resources
    #[arg(long, requires = "template", default_value = "create")]
    handler: Vec<Handled>,
    /// Makes these checks alone, without a checks file
    #[arg(long, requires = "template", conflicts_with = "checks")]
    template_only: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Handled {
    Create,
    Update,
    Delete,
}

impl FromTemplate {
    /// Whether no other checks are made.
    pub(crate) fn is_alone(&self) -> bool {
        self.template_only
    }

    /// What the template needs; nothing without one.
    pub(crate) async fn derive(&self, sdk: &SdkConfig) -> Result<Derived> {
        let (Some(path), Some(role)) = (&self.template, &self.role) else { return Ok(Derived::default()) };
        if !(role.starts_with("arn:") && role.contains(":iam::") && (role.contains(":role/") || role.contains(":user/"))) {
            bail!("--role: {role:?} is not the ARN of a role\nnext: write one such as arn:aws:iam::111122223333:role/deploy");
        }
        let template = Template::parse(&read(path)?).with_context(|| format!("cannot use {}", path.display()))?;
        let schemas = match &self.schemas {
            Some(path) => collected(path, &template.types())?,
            None => registered(&Registry::new(sdk), template.types()).await,
        };
        let place = Place {
            role: role.clone(),
            stack: self.stack_name.clone(),
            region: sdk.region().map(|region| region.as_ref().to_owned()),
            parameters: self.parameter.iter().cloned().collect(),
        };
        let handlers: Vec<Handler> = self
            .handler
            .iter()
            .map(|handled| match handled {
                Handled::Create => Handler::Create,
                Handled::Update => Handler::Update,
                Handled::Delete => Handler::Delete,
            })
            .collect();
        Ok(derive(&template, &schemas, &place, &handlers))
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A template's text. What is too large is not read to its end.
fn read(path: &Path) -> Result<String> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut text = String::new();
    file.take(LARGEST as u64 + 1).read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

async fn registered(registry: &impl ResourceTypes, types: BTreeSet<String>) -> Schemas {
    let asked = types.into_iter().map(async |name| {
        let schema = match registry.schema(&name).await {
            Ok(Some(schema)) => Schema::parse(&schema),
            Ok(None) => Err("CloudFormation's registry does not know it".to_owned()),
            Err(why) => Err(format!("its schema could not be looked up: {why}")),
        };
        (name, schema)
    });
    futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await
}

/// The schemas of these types in a folder or zip.
fn collected(path: &Path, types: &BTreeSet<String>) -> Result<Schemas> {
    let mut schemas: Schemas = types.iter().map(|name| (name.clone(), Err(format!("{} has no schema of it", path.display())))).collect();
    let mut take = |name: &str, content: &mut dyn Read| -> Result<()> {
        let mut text = String::new();
        content.take(SCHEMA + 1).read_to_string(&mut text).with_context(|| format!("cannot read {name} in {}", path.display()))?;
        if text.len() as u64 > SCHEMA {
            bail!("{name} in {} has more than {SCHEMA} bytes: it is no schema\nnext: take it out", path.display());
        }
        let schema = Schema::parse(&text).map_err(|error| anyhow!("{name} in {}: {error}\nnext: take it out", path.display()))?;
        if types.contains(&schema.name) {
            schemas.insert(schema.name.clone(), Ok(schema));
        }
        Ok(())
    };
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        for entry in entries.take(SCHEMAS) {
            let file = entry.with_context(|| format!("cannot read {}", path.display()))?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                let mut content = std::fs::File::open(&file).with_context(|| format!("cannot open {}", file.display()))?;
                take(&file.file_name().unwrap_or_default().to_string_lossy(), &mut content)?;
            }
        }
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut archive = zip::ZipArchive::new(file).with_context(|| format!("{} is neither a folder nor a zip", path.display()))?;
        for place in 0..archive.len().min(SCHEMAS) {
            let mut content = archive.by_index(place).with_context(|| format!("cannot read {}", path.display()))?;
            let name = content.name().with_context(|| format!("cannot read {}", path.display()))?.into_owned();
            if name.ends_with(".json") {
                take(&name, &mut content)?;
            }
        }
    }
    Ok(schemas)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const QUEUE: &str = r#"{"typeName":"AWS::SQS::Queue","handlers":{"create":{"permissions":["sqs:CreateQueue"]}}}"#;

    /// A new folder for a test.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("flywheel-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn types() -> BTreeSet<String> {
        BTreeSet::from(["AWS::SQS::Queue".to_owned(), "AWS::SNS::Topic".to_owned()])
    }

    #[test]
    fn schemas_are_found_in_a_folder_and_in_a_zip_whatever_their_files_are_called() {
        let folder = folder("schemas");
        std::fs::write(folder.join("a.json"), QUEUE).expect("written");
        std::fs::write(folder.join("notes.txt"), "no schema").expect("written");
        let path = folder.join("schemas.zip");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).expect("a file"));
        zip.start_file("aws-sqs-queue.json", zip::write::SimpleFileOptions::default()).expect("an entry");
        zip.write_all(QUEUE.as_bytes()).expect("written");
        zip.finish().expect("a zip");
        for path in [&folder, &path] {
            let schemas = collected(path, &types()).expect("schemas");
            assert!(schemas["AWS::SQS::Queue"].is_ok());
            assert_eq!(schemas["AWS::SNS::Topic"], Err(format!("{} has no schema of it", path.display())));
        }
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_file_that_is_no_schema_is_named() {
        let folder = folder("no-schemas");
        std::fs::write(folder.join("a.json"), "{}").expect("written");
        let error = collected(&folder, &types()).expect_err("no schema").to_string();
        assert!(error.starts_with("a.json in ") && error.contains("the schema has no typeName"), "{error}");
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[tokio::test]
    async fn what_the_registry_does_not_know_or_tell_is_said() {
        struct Some;
        impl ResourceTypes for Some {
            async fn schema(&self, name: &str) -> Result<Option<String>, String> {
                match name {
                    "AWS::SQS::Queue" => Ok(Option::Some(QUEUE.to_owned())),
                    "AWS::SNS::Topic" => Ok(None),
                    _ => Err("AccessDenied: no".to_owned()),
                }
            }
        }
        let mut types = types();
        types.insert("AWS::S3::Bucket".to_owned());
        let schemas = registered(&Some, types).await;
        assert!(schemas["AWS::SQS::Queue"].is_ok());
        assert_eq!(schemas["AWS::SNS::Topic"], Err("CloudFormation's registry does not know it".to_owned()));
        assert_eq!(schemas["AWS::S3::Bucket"], Err("its schema could not be looked up: AccessDenied: no".to_owned()));
    }

    #[test]
    fn a_parameter_has_a_name_and_a_value() {
        assert_eq!(parameter("Stage=a=b"), Ok(("Stage".to_owned(), "a=b".to_owned())));
        assert_eq!(parameter("Stage"), Err("write it as NAME=VALUE".to_owned()));
    }
}
