//! `flywheel stop` and `flywheel resume`: all actions at once.

use anyhow::{Result, bail};
use clap::Args;
use flywheel_adapters::{EventBridgeBus, Switch};
use flywheel_model::Control;
use flywheel_ports::Bus;
use jiff::Timestamp;

use crate::output::Output;
use crate::site::Site;

#[derive(Args)]
pub(crate) struct Said {
    /// Who says so
    #[arg(long, env = "USER")]
    by: String,
    /// Why: it stays in the ledger
    #[arg(long, default_value = "")]
    why: String,
}

impl Said {
    fn control(self) -> Control {
        Control { by: self.by, why: self.why, at: Timestamp::now() }
    }
}

/// Stops all actions. Nobody is asked: it is for emergencies, and `resume` takes it back.
pub(crate) async fn stop(said: Said, site: &Site, output: &Output) -> Result<()> {
    let switch = Switch::new(&site.sdk, site.output("SwitchTable")?.to_owned());
    if let Some(before) = switch.stopped().await? {
        bail!("actions are stopped already, by {} since {}\nnext: `flywheel resume` lets them go on", before.by, before.at);
    }
    let control = said.control();
    switch.stop(&control).await?;
    tell(control.clone(), true, site).await?;
    output.show(
        &control,
        "All actions are stopped; what is seen is still counted, found and decided, marked as a dry run.\nWhat runs at this moment may end what it began, 30 seconds at most. Flags and limits stay as they are.\nnext: `flywheel resume` lets actions go on; `flywheel experiments stop NAME` takes a split of the traffic back",
    )
}

/// Lets actions go on.
pub(crate) async fn resume(said: Said, site: &Site, output: &Output) -> Result<()> {
    let switch = Switch::new(&site.sdk, site.output("SwitchTable")?.to_owned());
    let Some(before) = switch.stopped().await? else {
        bail!("actions are not stopped\nnext: if nothing is done all the same, look at `mode` in the policy");
    };
    let control = said.control();
    switch.resume().await?;
    tell(control.clone(), false, site).await?;
    output.show(&control, &format!("Actions go on as the policy says; they were stopped by {} since {}", before.by, before.at))
}

/// The switch first: a bus that does not answer does not keep anybody from stopping.
async fn tell(control: Control, stops: bool, site: &Site) -> Result<()> {
    let bus = EventBridgeBus::new(&site.sdk, site.output("Bus")?.to_owned());
    Ok(bus.publish(&[control.event(stops)]).await?)
}
