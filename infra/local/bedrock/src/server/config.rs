//! What a server starts from: the knowledge bases that exist, and the limits they live under.

use std::path::Path;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::{Bedrock, DataSourceKind, NewDataSource, NewKnowledgeBase, Quotas, Speed};

/// The account as it is at the start, and again after a reset. Durations are written like `5s` or `PT5S`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The limits; those not named are AWS's defaults.
    pub quotas: Quotas,
    /// How long things take.
    pub speed: Speed,
    /// The knowledge bases.
    pub knowledge_bases: Vec<KnowledgeBaseConfig>,
}

/// A knowledge base and its data sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnowledgeBaseConfig {
    /// Ten letters and digits.
    pub id: String,
    /// Its name; the id if not set.
    #[serde(default)]
    pub name: Option<String>,
    /// Its data sources.
    #[serde(default)]
    pub data_sources: Vec<DataSourceConfig>,
}

/// A data source: a bucket, or a type other than S3.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSourceConfig {
    /// Ten letters and digits.
    pub id: String,
    /// Its name; the id if not set.
    #[serde(default)]
    pub name: Option<String>,
    /// The bucket, for a data source of type S3.
    #[serde(default)]
    pub bucket: Option<String>,
    /// The prefixes that it is limited to.
    #[serde(default)]
    pub inclusion_prefixes: Vec<String>,
    /// The type, if it is not S3: `WEB`, `CONFLUENCE`, …
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

impl DataSourceConfig {
    fn kind(&self) -> anyhow::Result<DataSourceKind> {
        match (&self.bucket, self.kind.as_deref()) {
            (Some(bucket), None | Some("S3")) => {
                Ok(DataSourceKind::S3 { bucket: bucket.clone(), inclusion_prefixes: self.inclusion_prefixes.clone() })
            }
            (None, Some(name)) if name != "S3" => Ok(DataSourceKind::Other { name: name.to_owned() }),
            _ => bail!("data source {}: name either a bucket, or a type other than S3", self.id),
        }
    }
}

impl Config {
    /// Reads a file: JSON if its name ends so, else TOML.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        if path.extension().is_some_and(|extension| extension == "json") {
            serde_json::from_str(&text).with_context(|| format!("{} is not a configuration", path.display()))
        } else {
            toml::from_str(&text).with_context(|| format!("{} is not a configuration", path.display()))
        }
    }

    /// The account that this describes.
    pub fn account(&self, now: Timestamp) -> anyhow::Result<Bedrock> {
        let mut bedrock = Bedrock::new(self.quotas.clone(), self.speed.clone());
        for knowledge_base in &self.knowledge_bases {
            let name = knowledge_base.name.as_ref().unwrap_or(&knowledge_base.id).clone();
            let new = NewKnowledgeBase { id: Some(knowledge_base.id.clone()), name };
            bedrock.create_knowledge_base(now, new).with_context(|| format!("knowledge base {}", knowledge_base.id))?;
            for data_source in &knowledge_base.data_sources {
                let new = NewDataSource {
                    id: Some(data_source.id.clone()),
                    knowledge_base: knowledge_base.id.clone(),
                    name: data_source.name.as_ref().unwrap_or(&data_source.id).clone(),
                    kind: data_source.kind()?,
                };
                bedrock.create_data_source(now, new).with_context(|| format!("data source {}", data_source.id))?;
            }
        }
        bedrock.forget_calls();
        Ok(bedrock)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"
        [quotas]
        job_starts_per_second = 2.5
        [speed]
        job_overhead = "2s"
        [[knowledge_bases]]
        id = "KBHANDBOOK"
        name = "handbook"
        [[knowledge_bases.data_sources]]
        id = "DSMANUALS0"
        bucket = "documents"
        inclusion_prefixes = ["manuals/"]
        [[knowledge_bases.data_sources]]
        id = "DSWEBSITE0"
        type = "WEB"
    "#;

    #[test]
    fn a_file_names_only_what_differs_from_the_defaults() {
        let config: Config = toml::from_str(EXAMPLE).unwrap();
        assert_eq!(config.quotas, Quotas { job_starts_per_second: 2.5, ..Quotas::default() });
        assert_eq!(config.speed.job_overhead, jiff::SignedDuration::from_secs(2));
        let account = config.account(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(account.data_source("DSMANUALS0").unwrap().kind, DataSourceKind::prefix("documents", "manuals/"));
        assert_eq!(account.data_source("DSWEBSITE0").unwrap().kind.type_name(), "WEB");
        assert!(account.calls().is_empty());
    }

    #[test]
    fn a_data_source_with_neither_bucket_nor_type_is_refused_by_name() {
        let text = EXAMPLE.replace("type = \"WEB\"", "");
        let error = toml::from_str::<Config>(&text).unwrap().account(Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(error.to_string().contains("DSWEBSITE0"), "{error}");
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        assert!(toml::from_str::<Config>("[quotas]\nrunning_job = 1").is_err());
    }
}
