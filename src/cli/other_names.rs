//! What options are called elsewhere, and what to type here.

use clap::Command;

/// Words that people type, and the remedy; an option that it begins with must be one of the command.
const OTHER_NAMES: &[(&[&str], &str)] = &[
    (
        &["--key", "--keys", "-k", "--encryption-key", "--encryption_key", "--raw-key"],
        "--key-file FILE has the keys, lines KID:KEY in hex: they never stand on the command line",
    ),
    (
        &["--password", "--pass", "-p"],
        "--password-file FILE has the password, or DRMTODAY_PASSWORD: it never stands on the command line",
    ),
    (&["-o", "--output", "--output-dir", "--output_dir", "--out-dir"], "--out DIR is the output folder"),
    (&["-f", "-y", "--force"], "--overwrite replaces an output folder"),
    (&["--iv"], "--vector HEX is the IV"),
    (
        &["--protection-scheme", "--protection_scheme", "--encryption-cenc-scheme", "--cenc-scheme"],
        "--scheme S is the protection scheme",
    ),
    (&["--content-id", "--content_id", "--asset-id", "--id"], "--resource-id ID is the content id"),
    (
        &["--lang", "--language", "--label", "--role", "--default-language", "--default_language"],
        "--track ID:lang=en,label=TEXT,role=ROLE says it of a track; plan prints the ids",
    ),
    (
        &["--tracks", "--skip-encryption", "--skip_encryption", "--allow-clear", "--leave-clear"],
        "--clear-track TRACK names a track that was left clear on purpose",
    ),
    (&["--skip-encryption", "--skip_encryption", "--leave-clear"], "--track ID:clear leaves a track clear"),
    (
        &["--fragment-duration", "--fragment_duration", "--segment_duration", "--segment-length"],
        "--segment-duration S is for MP4 inputs",
    ),
    (&["--rotate", "--crypto-period-duration", "--crypto_period_duration"], "--rotate-every N, in segments"),
    (&["--out"], "leave it out: this command writes no folder"),
    (&["--source", "--original", "--reference"], "--against INPUT is the clear source"),
];

/// What to type instead of an option that the command has not.
pub(super) fn remedy(command: &Command, typed: &str) -> Option<&'static str> {
    let has = |remedy: &str| {
        let Some(name) = remedy.split(' ').next().and_then(|word| word.strip_prefix("--")) else {
            return true;
        };
        command.get_arguments().any(|argument| argument.get_long() == Some(name))
    };
    let mut rows = OTHER_NAMES.iter().filter(|(words, _)| words.contains(&typed));
    rows.find_map(|(_, remedy)| Some(*remedy).filter(|remedy| has(remedy)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Args;

    #[test]
    fn each_row_helps_some_command() {
        let all = Args::command();
        for (words, row) in OTHER_NAMES {
            let remedies =
                || all.get_subcommands().flat_map(|one| words.iter().map(move |word| remedy(one, word)));
            assert!(remedies().flatten().any(|found| found == *row), "{row}");
        }
        let decrypt = all.find_subcommand("decrypt").unwrap();
        assert!(remedy(decrypt, "--key").is_some() && remedy(decrypt, "--iv").is_none());
    }
}
