//! A series as a short string, for a table's row.
//!
//! Counts are told by their difference from what the hours before lead to expect: trials from those of a day before,
//! events from the rate so far. What is left is noise, and noise is written with Rice codes (Rice & Plaunt 1971: a
//! quotient in unary, a remainder in bits), their parameters chosen for the series. Base64 makes letters of the bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::series::{Hour, Series, Tally};

/// Text that is not a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Letters that base64 does not have, or too few of them
    #[error("not base64")]
    NotBase64,
    /// Written by another version of this crate
    #[error("layout {0} is not known")]
    Layout(u64),
    /// It ends before its last hour
    #[error("cut short")]
    CutShort,
    /// More events than trials, an hour without trials, or hours out of order
    #[error("hour {0:?} cannot be")]
    Impossible(Hour),
}

/// The layout written here. Another one would have another number.
const LAYOUT: u64 = 1;
/// A quotient so long is not written: the number follows as it is.
const LONGEST_QUOTIENT: u64 = 24;
/// The largest Rice parameter: remainders of so many bits.
const LARGEST_PARAMETER: u32 = 40;

/// Writes a series.
pub(crate) fn write(series: &Series) -> String {
    let mut gaps = Vec::new();
    let mut trials = Vec::new();
    let mut events = Vec::new();
    let mut guess = Guess::default();
    let mut first = None;
    for (hour, tally) in series.hours() {
        let next = guess.hour();
        first.get_or_insert(hour);
        gaps.push(next.map_or(0, |next| hour.0.wrapping_sub(next.0).cast_unsigned()));
        trials.push(zigzag(tally.trials().wrapping_sub(guess.trials())));
        events.push(zigzag(tally.events().wrapping_sub(guess.events(tally.trials()))));
        guess.learn(hour, tally);
    }
    let mut bits = Writer::default();
    bits.number(LAYOUT, 4);
    bits.number(gaps.len() as u64, 32);
    bits.number(first.map_or(0, |hour| hour.0.cast_unsigned()), 64);
    let columns = [&gaps, &trials, &events].map(|column| (column, best_parameter(column)));
    for (_, parameter) in columns {
        bits.number(u64::from(parameter), 6);
    }
    for place in 0..gaps.len() {
        for (column, parameter) in columns {
            bits.rice(column[place], parameter);
        }
    }
    URL_SAFE_NO_PAD.encode(bits.bytes)
}

/// Reads what [`write`] wrote.
pub(crate) fn read(text: &str) -> Result<Series, Unreadable> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Unreadable::NotBase64)?;
    let mut bits = Reader { bytes: &bytes, at: 0 };
    let layout = bits.number(4)?;
    if layout != LAYOUT {
        return Err(Unreadable::Layout(layout));
    }
    let hours = bits.number(32)?;
    let first = Hour(bits.number(64)?.cast_signed());
    let parameters = [bits.number(6)?, bits.number(6)?, bits.number(6)?];
    let mut guess = Guess::default();
    let mut series = Series::default();
    for _ in 0..hours {
        let [gap, trials, events] = [bits.rice(parameters[0])?, bits.rice(parameters[1])?, bits.rice(parameters[2])?];
        let hour = match guess.hour() {
            None => first,
            Some(next) => next.0.checked_add_unsigned(gap).map(Hour).ok_or(Unreadable::Impossible(next))?,
        };
        let trials = unzigzag(trials).wrapping_add(guess.trials());
        let events = unzigzag(events).wrapping_add(guess.events(trials));
        let tally = Tally::new(trials, events).map_err(|_| Unreadable::Impossible(hour))?;
        if trials == 0 || guess.last == Some(hour) {
            return Err(Unreadable::Impossible(hour));
        }
        series.add(hour, tally);
        guess.learn(hour, tally);
    }
    Ok(series)
}

/// What the hours so far lead to expect of the next.
#[derive(Default)]
struct Guess {
    last: Option<Hour>,
    seen: Vec<u64>,
    all_trials: f64,
    all_events: f64,
}

impl Guess {
    fn hour(&self) -> Option<Hour> {
        self.last.map(|last| last.plus(1))
    }

    fn trials(&self) -> u64 {
        let a_day_before = self.seen.len().checked_sub(24).and_then(|place| self.seen.get(place));
        a_day_before.or(self.seen.last()).copied().unwrap_or(0)
    }

    /// Multiplication and division alone are rounded alike on every machine, so that all of them guess the same.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a guess")]
    fn events(&self, trials: u64) -> u64 {
        if self.all_trials > 0.0 { (trials as f64 * (self.all_events / self.all_trials)) as u64 } else { 0 }
    }

    #[allow(clippy::cast_precision_loss, reason = "a guess")]
    fn learn(&mut self, hour: Hour, tally: Tally) {
        self.last = Some(hour);
        self.seen.push(tally.trials());
        self.all_trials += tally.trials() as f64;
        self.all_events += tally.events() as f64;
    }
}

/// Small numbers of either sign as small numbers.
fn zigzag(difference: u64) -> u64 {
    let signed = difference.cast_signed();
    ((signed << 1) ^ (signed >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// The bits that a number takes.
fn cost(number: u64, parameter: u32) -> u64 {
    let quotient = number >> parameter;
    if quotient < LONGEST_QUOTIENT { quotient + 1 + u64::from(parameter) } else { LONGEST_QUOTIENT + 64 }
}

/// With which a column takes the fewest bits.
fn best_parameter(column: &[u64]) -> u32 {
    let bits = |parameter: &u32| column.iter().map(|number| cost(*number, *parameter)).sum::<u64>();
    (0..=LARGEST_PARAMETER).min_by_key(bits).unwrap_or(0)
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    used: u32,
}

impl Writer {
    fn bit(&mut self, one: bool) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let (true, Some(last)) = (one, self.bytes.last_mut()) {
            *last |= 0x80 >> (self.used % 8);
        }
        self.used += 1;
    }

    fn number(&mut self, number: u64, bits: u32) {
        for bit in (0..bits).rev() {
            self.bit(number >> bit & 1 == 1);
        }
    }

    fn rice(&mut self, number: u64, parameter: u32) {
        let quotient = number >> parameter;
        for _ in 0..quotient.min(LONGEST_QUOTIENT) {
            self.bit(true);
        }
        if quotient < LONGEST_QUOTIENT {
            self.bit(false);
            self.number(number, parameter);
        } else {
            self.number(number, 64);
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn bit(&mut self) -> Result<bool, Unreadable> {
        let byte = self.bytes.get(self.at / 8).ok_or(Unreadable::CutShort)?;
        let one = byte >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        Ok(one)
    }

    fn number(&mut self, bits: u64) -> Result<u64, Unreadable> {
        (0..bits).try_fold(0_u64, |number, _| Ok(number << 1 | u64::from(self.bit()?)))
    }

    fn rice(&mut self, parameter: u64) -> Result<u64, Unreadable> {
        let mut quotient = 0;
        while quotient < LONGEST_QUOTIENT && self.bit()? {
            quotient += 1;
        }
        if quotient == LONGEST_QUOTIENT {
            self.number(64)
        } else {
            // A parameter above the largest is never written; it makes a number that the checks above refuse or not.
            Ok(quotient.checked_shl(u32::try_from(parameter).unwrap_or(0)).unwrap_or(0) | self.number(parameter)?)
        }
    }
}
