//! `flywheel completions` and `flywheel man`: the command line, for shells and for people, from the same source as the parser.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use clap::{Args, Command, ValueEnum};
use clap_complete::{Generator, Shell, generate};

use crate::output::Output;

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    shell: For,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum For {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args)]
pub(crate) struct Man {
    /// The command whose page it is: `policy apply`; the whole tool's without one
    #[arg(conflicts_with = "output")]
    command: Vec<String>,
    /// Writes the pages of all commands into this folder
    #[arg(long)]
    output: Option<PathBuf>,
}

impl Completions {
    pub(crate) fn run(&self, command: Command, output: &Output) -> Result<()> {
        let shell = match self.shell {
            For::Bash => Shell::Bash,
            For::Zsh => Shell::Zsh,
            For::Fish => Shell::Fish,
        };
        output.bytes(&completions(shell, command))
    }
}

impl Man {
    pub(crate) fn run(&self, command: Command, output: &Output) -> Result<()> {
        let Some(folder) = &self.output else { return output.bytes(&page(command, &self.command)?) };
        pages(command, folder).map_err(|error| anyhow!("cannot write into {}: {error}\nnext: name another folder", folder.display()))?;
        output.show(&folder, &format!("{}\nnext: `man -M` wants them in its subfolder man1", folder.display()))
    }
}

fn completions(shell: impl Generator, mut command: Command) -> Vec<u8> {
    let (name, mut written) = (command.get_name().to_owned(), Vec::new());
    generate(shell, &mut command, name, &mut written);
    written
}

/// The page of a command, or of one of its commands.
fn page(command: Command, path: &[String]) -> Result<Vec<u8>> {
    let mut root = command.disable_help_subcommand(true);
    root.build();
    let mut of = &root;
    for name in path {
        let Some(found) = of.find_subcommand(name) else {
            let known: Vec<&str> = of.get_subcommands().map(Command::get_name).collect();
            let known = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
            bail!("{} has no command {name:?}: {known}\nnext: `flywheel man`", of.get_name());
        };
        of = found;
    }
    let mut written = Vec::new();
    man(of).render(&mut written)?;
    Ok(written)
}

/// Writes the pages of a command and of all below it.
fn pages(command: Command, folder: &Path) -> std::io::Result<()> {
    fn write(of: &Command, folder: &Path) -> std::io::Result<()> {
        man(of).generate_to(folder)?;
        of.get_subcommands().try_for_each(|below| write(below, folder))
    }
    std::fs::create_dir_all(folder)?;
    let mut root = command.disable_help_subcommand(true);
    root.build();
    write(&root, folder)
}

fn man(of: &Command) -> clap_mangen::Man {
    clap_mangen::Man::new(of.clone()).source(concat!("flywheel ", env!("CARGO_PKG_VERSION")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::Arguments;

    fn page_of(path: &[&str]) -> Result<String> {
        let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
        Ok(String::from_utf8(page(Arguments::command(), &path)?).expect("text"))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn each_shell_is_told_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = String::from_utf8(completions(shell, Arguments::command())).expect("text");
            assert!(["status", "rollback", "completions"].iter().all(|name| text.contains(name)), "{shell}");
        }
    }

    #[test]
    fn the_tool_has_a_page_and_so_has_each_command() {
        assert!(page_of(&[]).expect("a page").contains(".TH flywheel 1"));
        let apply = page_of(&["policy", "apply"]).expect("a page");
        assert!(apply.contains(".TH flywheel\\-policy\\-apply 1") || apply.contains(".TH flywheel-policy-apply 1"), "{apply}");
        assert!(apply.contains("in\\-force"), "{apply}");
    }

    #[test]
    fn a_command_that_is_none_is_told_those_that_are() {
        let why = page_of(&["policy", "burn"]).expect_err("no command").to_string();
        assert!(why.contains("policy has no command \"burn\": check, diff, show, apply, rollback"), "{why}");
    }
}
