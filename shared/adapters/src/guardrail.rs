//! A guardrail of Bedrock, asked what is personal in texts.

use std::pin::Pin;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::types::{GuardrailContentBlock, GuardrailContentSource, GuardrailTextBlock};
use flywheel_policy::GuardrailId;
use flywheel_ports::{Found, Guardrail, Unavailable};
use flywheel_redaction::Kind;

use crate::error::unavailable;

/// `ApplyGuardrail` with the guardrail that the policy names. What it would put in the place of a value is not used: a
/// placeholder of ours is the same for the same value.
#[derive(Debug, Clone)]
pub struct BedrockGuardrail {
    client: Client,
    guardrail: GuardrailId,
}

impl BedrockGuardrail {
    /// The guardrail of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, guardrail: GuardrailId) -> Self {
        Self { client: Client::new(config), guardrail }
    }

    async fn apply(&self, texts: &[String]) -> Result<Found, Unavailable> {
        const WHAT: &str = "apply the guardrail";
        let blocks = texts.iter().map(|text| GuardrailTextBlock::builder().text(text).build().map(GuardrailContentBlock::Text));
        let blocks = blocks.collect::<Result<Vec<_>, _>>().map_err(|error| Unavailable { what: WHAT, why: error.to_string() })?;
        let request = self
            .client
            .apply_guardrail()
            .guardrail_identifier(&self.guardrail.id)
            .guardrail_version(&self.guardrail.version)
            .source(GuardrailContentSource::Input)
            .set_content(Some(blocks));
        let answer = request.send().await.map_err(unavailable(WHAT))?;
        let policies = answer.assessments().iter().filter_map(|assessment| assessment.sensitive_information_policy());
        let found = policies.flat_map(|policy| {
            let entities = policy.pii_entities().iter().map(|entity| (kind(entity.r#type().as_str()), entity.r#match().to_owned()));
            let others = policy.regexes().iter().filter_map(|regex| Some((Kind::Personal, regex.r#match()?.to_owned())));
            entities.chain(others)
        });
        Ok(found.collect())
    }
}

impl Guardrail for BedrockGuardrail {
    fn find<'a>(&'a self, texts: &'a [String]) -> Pin<Box<dyn Future<Output = Result<Found, Unavailable>> + 'a>> {
        Box::pin(self.apply(texts))
    }
}

/// Our word for Bedrock's types of personal data (`GuardrailPiiEntityFilter` in the API reference).
fn kind(name: &str) -> Kind {
    match name {
        "NAME" => Kind::PersonName,
        "ADDRESS" => Kind::Address,
        "EMAIL" => Kind::Email,
        "PHONE" => Kind::Phone,
        "IP_ADDRESS" => Kind::Ip,
        "PASSWORD" | "PIN" | "CREDIT_DEBIT_CARD_CVV" | "AWS_ACCESS_KEY" | "AWS_SECRET_KEY" => Kind::Secret,
        "CREDIT_DEBIT_CARD_NUMBER" => Kind::Card,
        "US_PASSPORT_NUMBER" => Kind::Passport,
        "DRIVER_ID" => Kind::DriverLicence,
        _ => Kind::Personal,
    }
}
