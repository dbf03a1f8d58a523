//! Who and what a text names.

use crate::plain::Plain;

/// The most bytes of a name.
const LONGEST: usize = 2_048;

/// Who was denied: what stands before "is not authorized", after "User:" where that is said.
pub(crate) fn principal(text: &Plain) -> Option<String> {
    let said = [" is not author", " are not author", " does not have perm", " is not allowed to", " does not allow"];
    let end = said.iter().filter_map(|said| text.flat.find(said)).min()?;
    let before = &text.flat[..end];
    let start = match ["user: ", "role: ", "principal: "].iter().filter_map(|lead| before.rfind(lead).map(|at| at + lead.len())).max() {
        Some(start) if end - start <= 400 => start,
        _ => {
            let start = before.rfind([' ', '"', '\'', '(']).map_or(0, |at| at + 1);
            // Quoted: the whole between the quotes.
            if start == end {
                let closing = before.chars().next_back()?;
                before[..before.len() - closing.len_utf8()].rfind(closing).map_or(start, |at| at + 1)
            } else {
                start
            }
        }
    };
    let name = text.text[start..end].replace('\n', "");
    let name = name.trim_matches([' ', '"', '\'', '[', ',', ':', '(']).trim_end_matches([')', '"']);
    let is_name =
        name.contains("arn:") || name.contains('-') || name.contains('/') || name.contains('_') || text.flat[..start].ends_with("user: ");
    (is_name && !name.is_empty()).then(|| name.to_owned())
}

/// What the denied action was asked of.
pub(crate) fn denied(text: &Plain, from: usize) -> Option<String> {
    let leads = [
        "on resource(s):",
        "on resource:",
        "on resources:",
        "on resource ",
        "on the resource:",
        "for resource:",
        "access denied for bucket:",
    ];
    let at = leads.iter().filter_map(|lead| text.after(lead, from).or_else(|| text.after(lead, 0))).min()?;
    let name = token(text, at)?;
    if IAM_TYPES.contains(&name.as_str()) {
        // IAM's older wording: `on resource: role deploy`.
        let named = token(text, text.after(&name, at)?)?;
        return Some(format!("{name} {named}"));
    }
    (name == "*" || !is_prose(&name)).then_some(name)
}

const IAM_TYPES: &[&str] = &["role", "user", "group", "policy", "instance-profile"];

/// The encoded message of a denial; a terminal may have broken it into lines.
pub(crate) fn encoded(text: &Plain) -> Option<String> {
    let at = text.after("encoded authorization failure message:", 0)?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let mut message = String::new();
    for line in text.text[at..].trim_start().split('\n') {
        let length = line.bytes().take_while(|byte| is_part(*byte)).count();
        let whole = length == line.len();
        if !message.is_empty() && !whole {
            break;
        }
        message.push_str(&line[..length]);
        if !whole {
            break;
        }
    }
    (message.len() >= 20).then_some(message)
}

/// The first ARN that is not of the caller.
pub(crate) fn arn(text: &Plain) -> Option<String> {
    let mut from = 0;
    while let Some(found) = text.flat[from..].find("arn:") {
        let at = from + found;
        let before = text.flat[..at].trim_end_matches(['"', '\'', ' ', '[', '(']);
        let is_caller =
            before.ends_with("user:") || before.ends_with("principal:") || before.ends_with("in stack") || before.ends_with("for stack");
        let inside = text.flat.as_bytes().get(at.wrapping_sub(1)).is_some_and(u8::is_ascii_alphanumeric);
        let name = token(text, at).filter(|name| name.matches(':').count() >= 3);
        if !is_caller && !inside && name.is_some() {
            return name;
        }
        from = at + 4;
    }
    None
}

/// The first role that is named by its ARN.
pub(crate) fn role(text: &Plain) -> Option<String> {
    arn(text).filter(|arn| arn.contains(":role/"))
}

/// What a text says is missing.
pub(crate) fn missing(text: &Plain) -> Option<String> {
    let ends = [
        " does not exist",
        " doesn't exist",
        " not found",
        " cannot be found",
        " can't be found",
        " could not be found",
        " must exist",
        " was not found",
        " is not found",
    ];
    let looked_up = || after(text, &["via ssm parameter "]);
    arn(text).or_else(looked_up).or_else(|| said(text)).or_else(|| before(text, &ends)).or_else(|| {
        after(
            text,
            &[
                "no export named ",
                "not found: ",
                "does not exist: ",
                "no bucket named ",
                "unable to fetch parameters [",
                "can't find the specified secret: ",
            ],
        )
    })
}

/// What a text says is there already, or in use.
pub(crate) fn existing(text: &Plain) -> Option<String> {
    said(text)
        .or_else(|| before(text, &[" already exists", " already exist"]))
        .or_else(|| arn(text))
        .or_else(|| after(text, &["already exist: ", "already exists: "]))
}

/// The type of a resource of CloudFormation.
pub(crate) fn resource_type(text: &Plain) -> Option<String> {
    let at = text.after("resource of type ", 0)?;
    token(text, at).filter(|name| name.contains("::"))
}

/// After words that announce a name.
fn said(text: &Plain) -> Option<String> {
    // S3: "your previous request to create the named bucket succeeded".
    after(text, &["with identifier ", "with name ", "with the name ", "named ", "with id "]).filter(|name| name != "bucket")
}

fn after(text: &Plain, leads: &[&str]) -> Option<String> {
    leads.iter().find_map(|lead| token(text, text.after(lead, 0)?)).filter(|name| !is_masked(name) && name.len() > 1)
}

/// The name before words that say what is wrong with it.
fn before(text: &Plain, ends: &[&str]) -> Option<String> {
    let end = ends.iter().filter_map(|end| text.flat.find(end)).min()?;
    let head = &text.text[..end];
    let closing = head.chars().next_back().filter(|closing| matches!(closing, '"' | '\'' | ']'));
    let name = match closing {
        Some(']') => head[..head.len() - 1].rsplit('[').next()?,
        Some(closing) => head[..head.len() - 1].rsplit(closing).next()?,
        None => head.rsplit([' ', '\n']).next()?,
    };
    let name = name.trim_matches(['(', ')', '[', ']', '"', '\'', ',', ':', '*']);
    // What is quoted is a name whatever its letters are.
    let is_name = closing.is_some() && !name.contains(' ') || !is_prose(name);
    (!name.is_empty() && name.len() <= LONGEST && is_name && !is_masked(name)).then(|| name.to_owned())
}

/// A word of a sentence rather than a name: letters only, with no capital inside.
fn is_prose(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphabetic()) && !word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase())
}

/// A name that someone made unreadable.
fn is_masked(name: &str) -> bool {
    name.chars().all(|letter| matches!(letter, 'x' | 'X' | '*' | '.' | '-' | '#'))
}

/// The name at a place, without what closes the sentence around it. A name that was broken at the end of a line is joined
/// where that is certain.
fn token(text: &Plain, at: usize) -> Option<String> {
    let rest = text.text.get(at..)?;
    let start = at + rest.len() - rest.trim_start_matches([' ', '\n', '"', '\'', '(', ':', '=']).len();
    let start = if text.text[start..].starts_with("[arn:") { start + 1 } else { start };
    let mut name = String::new();
    let mut place = start;
    loop {
        let rest = &text.text[place..];
        let length = rest.find([' ', '\n', '"', '\'', ',', ';', '\\', '。', '、', '，', '（', '）', '「', '」']).unwrap_or(rest.len());
        let length = rest[..length].find("</").unwrap_or(length);
        name.push_str(&rest[..length]);
        let rest = &rest[length..];
        place += length;
        if name.len() > LONGEST {
            return None;
        }
        // A blank where an account id was taken out: `arn:aws:iam::xxxx :user/…`.
        if rest.starts_with(" :") && name.starts_with("arn:") && !name.ends_with(':') {
            name.push(' ');
            place += 1;
        } else if rest.starts_with('\n') && goes_on(text, &name, place) {
            place += 1;
        } else {
            break;
        }
    }
    let mut name = name.as_str();
    loop {
        let trimmed = match name.chars().next_back() {
            Some('.' | ':' | '"' | '\'' | '!' | '?' | '>' | '…') if !name.ends_with('>') || !name.contains('<') => {
                &name[..name.len() - name.chars().next_back().map_or(0, char::len_utf8)]
            }
            Some(')') if !name.contains('(') => &name[..name.len() - 1],
            Some(']') if name.matches('[').count() < name.matches(']').count() => &name[..name.len() - 1],
            Some('}') if name.matches('{').count() < name.matches('}').count() => &name[..name.len() - 1],
            _ => name,
        };
        // An ARN may end in a colon: that of a log group's streams.
        let trimmed = if name.ends_with(':') && name.starts_with("arn:") && name.matches(':').count() > 6 { name } else { trimmed };
        if trimmed.len() == name.len() {
            break;
        }
        name = trimmed;
    }
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whether a name that a line break ended goes on behind it.
fn goes_on(text: &Plain, name: &str, line_end: usize) -> bool {
    const AFTER: &[&str] = &["because", "with an explicit", "(service", "(requesttoken", "(code", "status code", "(aws"];
    let flat = &text.flat[line_end + 1..];
    let is_after = |rest: &str| AFTER.iter().any(|word| rest.trim_start().starts_with(word));
    let length = flat.find([' ', '"', '\'', ',']).unwrap_or(flat.len());
    let next = flat[..length].trim_end_matches('.');
    if is_after(flat) || length == 0 {
        return false;
    }
    let is_begun = name.starts_with("arn:") && name.matches(':').count() < 5;
    let is_open = name.ends_with(['/', ':', '-', '_']);
    let line = text.text[..line_end].rfind('\n').map_or(line_end, |start| line_end - start - 1);
    let looks_like_rest = line >= 60
        && !is_prose(next)
        && next.len() > 2
        && !next.contains(':')
        && flat[length..].trim_matches(['"', '\'', '.', ' ']).is_empty();
    is_begun || is_open || is_after(&flat[length..]) || looks_like_rest
}
