//! What pictures of rates have in common.

use std::fmt::Write;

/// A line across at a share of all, from left to right, with the share beside it.
pub(crate) fn draw_share(svg: &mut String, share: f64, [left, right]: [f64; 2], y: f64) {
    let _ = write!(
        svg,
        "<line x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"currentColor\" stroke-opacity=\"0.15\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0}%</text>",
        left - 6.0,
        y + 4.0,
        share * 100.0
    );
}
