//! Groups of digits that are written as one number.

use crate::text::Text;

/// The most groups that one number is written in.
const GROUPS: usize = 8;
/// The most digits that any number here has.
pub(crate) const DIGITS: usize = 22;

/// Groups of digits with what separates numbers in them: a space, hyphen, dot, slash or parentheses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    groups: [(usize, usize); GROUPS],
    count: usize,
}

/// The digits of a number as values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digits {
    values: [u8; DIGITS],
    count: usize,
}

impl std::ops::Deref for Digits {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.values[..self.count]
    }
}

impl Number {
    /// Reads the groups from a digit on.
    pub(crate) fn at(text: Text<'_>, start: usize) -> Self {
        let mut number = Self { groups: [(0, 0); GROUPS], count: 0 };
        let mut next = Some(start);
        while let Some(from) = next.filter(|_| number.count < GROUPS) {
            let end = text.run(from, |byte| byte.is_ascii_digit());
            number.groups[number.count] = (from, end);
            number.count += 1;
            next = gap(text, end);
        }
        number
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn start(&self) -> usize {
        self.groups[0].0
    }

    /// Where a group ends.
    pub(crate) fn end(&self, group: usize) -> usize {
        self.groups[group].1
    }

    /// How many digits a group has.
    pub(crate) fn width(&self, group: usize) -> usize {
        self.groups[group].1 - self.groups[group].0
    }

    /// How many digits each of the first groups has.
    pub(crate) fn widths(&self, groups: usize) -> [usize; GROUPS] {
        std::array::from_fn(|group| if group < groups { self.width(group) } else { 0 })
    }

    /// How many digits the first groups have together.
    pub(crate) fn length(&self, groups: usize) -> usize {
        (0..groups).map(|group| self.width(group)).sum()
    }

    /// What stands between a group and the next.
    pub(crate) fn gap<'a>(&self, text: Text<'a>, group: usize) -> &'a str {
        if group + 1 < self.count { text.slice(self.groups[group].1..self.groups[group + 1].0) } else { "" }
    }

    /// Whether the first groups all have this between them.
    pub(crate) fn is_separated(&self, text: Text<'_>, groups: usize, by: &str) -> bool {
        (0..groups.saturating_sub(1)).all(|group| self.gap(text, group) == by)
    }

    /// The digits of the first groups, none if they are too many for any number.
    pub(crate) fn digits(&self, text: Text<'_>, groups: usize) -> Digits {
        let mut digits = Digits { values: [0; DIGITS], count: 0 };
        if self.length(groups) > DIGITS {
            return digits;
        }
        for (start, end) in &self.groups[..groups] {
            for byte in &text.bytes()[*start..*end] {
                digits.values[digits.count] = byte - b'0';
                digits.count += 1;
            }
        }
        digits
    }

    /// A group's value, for groups of up to four digits.
    pub(crate) fn value(&self, text: Text<'_>, group: usize) -> usize {
        let (start, end) = self.groups[group];
        text.bytes()[start..end].iter().take(4).fold(0, |value, byte| value * 10 + usize::from(byte - b'0'))
    }

    /// Whether the first three groups are a date in figures: 2024-05-15, 15.05.2024, 5/15/24.
    pub(crate) fn is_date(&self, text: Text<'_>) -> bool {
        if self.count < 3 || self.gap(text, 0) != self.gap(text, 1) || !matches!(self.gap(text, 0), "-" | "." | "/" | ". ") {
            return false;
        }
        let [a, b, c, ..] = self.widths(3);
        let day_and_month = |first: usize, second: usize| {
            let (first, second) = (self.value(text, first), self.value(text, second));
            (1..=12).contains(&first) && (1..=31).contains(&second) || (1..=31).contains(&first) && (1..=12).contains(&second)
        };
        match (a, b, c) {
            (4, 1..=2, 1..=2) => (1850..=2150).contains(&self.value(text, 0)) && day_and_month(1, 2),
            (1..=2, 1..=2, 4) => (1850..=2150).contains(&self.value(text, 2)) && day_and_month(0, 1),
            (1..=2, 1..=2, 2) => day_and_month(0, 1),
            _ => false,
        }
    }
}

/// Where the next group of the same number begins, if one does.
fn gap(text: Text<'_>, end: usize) -> Option<usize> {
    const GAPS: [&[u8]; 14] =
        [b" ", b"-", b".", b"/", b") ", b")", b" (", b"(", b")-", b" - ", b". ", b"\xC2\xA0", b"\xE2\x80\x91", b"\xE2\x80\x93"];
    let rest = text.bytes().get(end..)?;
    let is_digit = |at: usize| rest.get(at).is_some_and(u8::is_ascii_digit);
    GAPS.iter().find(|gap| rest.starts_with(gap) && is_digit(gap.len())).map(|gap| end + gap.len())
}
