//! What must be found, kind by kind, and what must stay.

#![allow(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;

use crate::{Kind, Redactor, Span};

fn redactor() -> Redactor {
    Redactor::new(b"salt of a test")
}

/// The values found in a text, with their kinds.
fn found(text: &str) -> Vec<(Kind, &str)> {
    redactor().find(text).into_iter().map(|Span { range, kind }| (kind, &text[range])).collect()
}

/// Each text has one value, between ⟦ and ⟧.
fn finds(kind: Kind, texts: &[&str]) {
    let mut wrong = Vec::new();
    for marked in texts {
        let text = marked.replace(['⟦', '⟧'], "");
        let value = marked.split_once('⟦').and_then(|(_, rest)| rest.split_once('⟧')).map(|(value, _)| value).unwrap();
        if found(&text) != [(kind, value)] {
            wrong.push(format!("{marked:?}: {:?}", found(&text)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn keeps(texts: &[&str]) {
    let wrong: Vec<String> =
        texts.iter().filter(|text| !found(text).is_empty()).map(|text| format!("{text:?}: {:?}", found(text))).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn emails() {
    finds(
        Kind::Email,
        &[
            "Write to ⟦jane.doe+news@example.co.uk⟧.",
            "<⟦j_d@sub.example.com⟧>",
            "“⟦jörg@müller.de⟧”",
            "mailto:⟦o'neil@example.org⟧?subject=x",
            "https://example.com/?user=⟦jane%40example.com⟧&x=1",
            "{\"email\":\"⟦a@b.io⟧\"}",
        ],
    );
    keeps(&["@jane", "npm i left-pad@1.3.0", "git@github.com:org/repo.git", "user@localhost", "a @ b.com", "5 kg @ 3.20", "foo@bar"]);
}

#[test]
fn phones() {
    finds(
        Kind::Phone,
        &[
            "Call ⟦+1 (415) 555-2671⟧ now",
            "⟦+44 20 7946 0958⟧",
            "⟦+46 (0)8 928 571 38⟧ fax",
            "⟦+4915112345678⟧",
            "whatsapp:⟦+5511987654321⟧",
            "⟦001-518-640-0854x38548⟧",
            "⟦(212) 555-0142⟧ is hers",
            "⟦986.291.2294x751⟧",
            "at ⟦415-555-2671 ext. 12⟧.",
            "⟦1-800-555-0199⟧",
            "⟦020 7946 0958⟧",
            "⟦01 42 68 53 00⟧",
            "⟦030/12345678⟧",
            "⟦(96) 627-277⟧",
            "Phone: ⟦5551234567⟧",
            "mi teléfono es ⟦612 345 678⟧",
            "\"phone_number\": \"⟦987654321⟧\"",
            "⟦781 1704⟧ office",
            "Can someone call me on ⟦9472 7916⟧?",
            "my number is ⟦555-0142⟧",
            "text me at (⟦950123456⟧)",
            "⟦+33 1 42 68 53 00⟧",
            "⟦+49 (0) 30 901820⟧",
            "⟦+49 30/901820⟧",
            "⟦+1-415-555-2671⟧",
            "⟦+1.415.555.2671⟧",
            "⟦+91 98765 43210⟧",
            "⟦+81 3-1234-5678⟧",
            "⟦+86 138 0013 8000⟧",
            "⟦+971 50 123 4567⟧",
            "⟦0049 30 901820⟧",
            "⟦(020) 7946 0958⟧",
            "⟦(11) 98765-4321⟧",
            "⟦07700 900123⟧",
            "⟦0412 345 678⟧ mob",
            "⟦0151-12345678⟧",
            "⟦06 12 34 56 78⟧",
            "⟦06-12345678⟧",
            "⟦415.555.2671⟧",
            "⟦415 555 2671⟧",
            "tel. ⟦22 123 45 67⟧",
            "Tel: ⟦4155552671⟧",
            "mobile ⟦9876543210⟧",
            "電話 ⟦03-1234-5678⟧",
            "电话:⟦13800138000⟧",
            "тел. ⟦8 (495) 123-45-67⟧",
            "phone=⟦4155552671⟧",
            "{\"phone\": ⟦4155552671⟧}",
            "whatsapp/⟦+14155552671⟧",
        ],
    );
    keeps(&[
        "order 5551234567",
        "tracking number 9400110200881234567890",
        "call me on 2024-05-15",
        "call between 10:00 and 12:30",
        "call 911",
        "ISBN 978-3-16-148410-0",
        "item 4896585277",
        "1,234,567 calls",
        "pages 123-4567",
        "0.123456789",
        "2024-05-15 10:30:00.123456",
        "$5551234567",
        "(2019) 12-345",
        "113-1234567-1234567",
        "flight HAT123 on 2024-05-20 at 06:00",
    ]);
}

#[test]
fn cards() {
    finds(
        Kind::Card,
        &[
            "card ⟦4111111111111111⟧ expired",
            "⟦4111 1111 1111 1111⟧ 12/26",
            "⟦5500-0000-0000-0004⟧",
            "⟦378282246310005⟧",
            "⟦3782 822463 10005⟧",
            "⟦30569309025904⟧",
            "⟦6011111111111117⟧",
            "⟦3530111333300000⟧",
            "⟦2223003122003222⟧",
            "⟦6759649826438453⟧",
            "⟦676222165679⟧",
            "#⟦4222222222222⟧",
            "order paid with ⟦4111111111111111⟧,",
            "card/⟦4111111111111111⟧",
            "payment_⟦4111-1111-1111-1111⟧",
        ],
    );
    keeps(&[
        "4111111111111112",
        "1700000000000",
        "9999999999999995",
        "x4111111111111111",
        "credit_card_9513926",
        "tracking 4111111111111111",
    ]);
}

#[test]
fn bank_accounts() {
    finds(
        Kind::Iban,
        &[
            "⟦DE89370400440532013000⟧",
            "IBAN ⟦GB82 WEST 1234 5698 7654 32⟧.",
            "⟦gb82west12345698765432⟧",
            "⟦NO93 8601 1117 947⟧",
            "account/⟦DE89370400440532013000⟧",
        ],
    );
    finds(
        Kind::BankAccount,
        &[
            "account number: ⟦12345678⟧",
            "routing number ⟦021000021⟧",
            "sort code ⟦12-34-56⟧, account",
            "Kontonummer ⟦1234567890⟧",
            "acct no. ⟦000123456789⟧",
        ],
    );
    keeps(&["DE89370400440532013001", "GB00 item 12345", "your account balance is 1234567", "account since 2019", "account 42"]);
}

#[test]
fn wallets() {
    finds(
        Kind::Wallet,
        &[
            "send to ⟦1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa⟧",
            "⟦3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy⟧",
            "⟦bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4⟧",
            "⟦0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe⟧",
        ],
    );
    keeps(&["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "da39a3ee5e6b4b0d3255bfef95601890afd80709"]);
}

#[test]
fn national_ids() {
    finds(
        Kind::NationalId,
        &[
            "my SSN is ⟦514-69-0360⟧",
            "⟦219-09-9999⟧",
            "social security number ⟦514690360⟧",
            "⟦912-70-1234⟧",
            "⟦AB123456C⟧",
            "⟦AB 12 34 56 C⟧",
            "DNI ⟦12345678Z⟧",
            "⟦12.345.678-Z⟧",
            "⟦X1234567L⟧",
            "⟦2 69 05 49 588 157 80⟧",
            "⟦269054958815780⟧",
            "⟦86 095 742 719⟧",
            "Steuer-ID: ⟦86095742719⟧",
            "⟦RSSMRA85T10A562S⟧",
            "⟦529.982.247-25⟧",
            "CPF ⟦52998224725⟧",
            "⟦11.222.333/0001-81⟧",
            "⟦2341 2341 2346⟧",
            "⟦ABCPE1234F⟧",
            "⟦811218-9876⟧",
            "⟦131052-308T⟧",
            "⟦756.9217.0769.85⟧",
            "⟦11010519491231002X⟧",
            "⟦S1234567D⟧",
            "⟦12.345.678-5⟧",
            "RUN ⟦12345678-5⟧",
            "⟦85.07.30-033.28⟧",
            "person/⟦514-69-0360⟧",
        ],
    );
    finds(Kind::Passport, &["passport number ⟦C01X00T47⟧", "Pasaporte: ⟦AAB123456⟧", "passport no. ⟦123456789⟧"]);
    finds(Kind::DriverLicence, &["my driver's license number is ⟦481195160⟧", "driving licence ⟦MORGA657054SM9IJ⟧"]);
    keeps(&[
        "000-12-3456",
        "666-12-3456",
        "514-00-0360",
        "12345678A",
        "529.982.247-26",
        "passport renewal in 2024",
        "license key",
        "13-digit number",
        "AB123456E",
        "the number 86095742719",
        "INV-123-45-6789",
    ]);
}

#[test]
fn networks() {
    finds(
        Kind::Ip,
        &[
            "from ⟦48.90.248.226⟧ blocked",
            "⟦192.168.1.10⟧:8080",
            "http://⟦10.0.0.7⟧/x",
            "(⟦2001:db8::8a2e:370:7334⟧)",
            "⟦fe80::1ff:fe23:4567:890a⟧",
            "ip=⟦8.8.8.8⟧",
        ],
    );
    finds(Kind::Mac, &["⟦00:1b:44:11:3a:b7⟧", "⟦00-1B-44-11-3A-B7⟧"]);
    finds(Kind::UrlCredential, &["postgres://⟦bob:s3cr3t⟧@db/x", "https://⟦user:p@ss⟧@example.com/"]);
    keeps(&[
        "version 1.2.3.4",
        "v1.2.3.4",
        "Chrome/120.0.6099.109",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "255.255.255.0",
        "std::net",
        "a::b",
        "12:30:45",
        "1.2.3",
        "1.2.3.4.5",
        "300.1.1.1",
        "https://example.com/orders/5551234567",
        "ssh://git@github.com/x",
        "550e8400-e29b-41d4-a716-446655440000",
        "ff:ff:ff:ff:ff:ff",
    ]);
}

#[test]
fn addresses() {
    finds(
        Kind::Address,
        &[
            "I live at ⟦3968 Bay Street⟧.",
            "⟦221B Baker Street⟧",
            "⟦1600 Pennsylvania Ave NW, Washington, DC 20500⟧",
            "⟦4050 Main Street\nRiverside, CA 92501⟧",
            "⟦12 High Street, London SW1A 1AA⟧",
            "⟦36 rue de Pologne⟧, Paris",
            "at ⟦Via Tasso 129⟧",
            "⟦Ziegelgasse 19⟧",
            "⟦Villacher Strasse 89⟧",
            "⟦Calle Mayor 12⟧",
            "⟦P.O. Box 104⟧",
            "⟦PSC 3294, Box 9168\nAPO AA 61487⟧",
            "⟦213 Pilekrogen 53 Apt. 263⟧",
            "She lives on ⟦Steinfelden 73⟧",
            "⟦33 avenue de Provence⟧",
            "⟦12 Elm Street NW⟧ is closed",
            "⟦8 Linden Avenue North, Unit 8B, Bergen, Norway⟧",
            "⟦Musterstraße 5, 12345 Berlin⟧",
            "⟦10 rue de Rivoli, 75001 Paris⟧",
            "⟦Kerkstraat 12, 1017 GC Amsterdam⟧",
            "⟦Calle Mayor, 12⟧",
            "⟦Via Roma, 5, 00184 Roma⟧",
            "⟦52 Holm Street, Leeds, United Kingdom⟧",
            "⟦75 Auerstrasse 12 Apt. 974 Thun Switzerland⟧",
            "⟦2505 Heatherfield Suite 620 Apt. 581, Durban, South Africa 13475⟧",
            "⟦Tungata 11 Rott Crossroad\n Apt. 322\n Selfoss\n Iceland 72399⟧",
            "> ⟦4923 Parkova 109\n> Suite 380\n> Maribor\n> Slovenia 82709⟧",
            "it is at the corner of ⟦Kastanienstraat 88 and Whitman Street⟧.",
            "the corner of ⟦Pine Street and 5th Avenue⟧, at noon",
            "my address:\n\n⟦06 Reyes Altos 17\nSaarvere, JN 91851⟧",
            "⟦Fugle 41 Popov Dam\n Suite 860\n UPPLANDA VEST\n Sweden 56687⟧",
            "⟦Ahornweg 8\n Ostrov nad Labem\n Czech Republic 56655⟧",
            "the corner of ⟦lindenbrücke 77 and minnow courts⟧",
            "The bus station is on ⟦Peter Zandhof 188⟧",
            "it is located at ⟦38 king arthur\nlady brook\n, ec\n 76634⟧. it opens",
        ],
    );
    finds(
        Kind::Postcode,
        &[
            "my zip code is ⟦94107⟧",
            "ZIP: ⟦7412 SL⟧",
            "\"zip\": \"⟦10029⟧\"",
            "postcode ⟦SW1A 1AA⟧",
            "near Chicago ⟦60601⟧ in June",
            "he is from Porto ⟦4050-114⟧",
            "in Ottawa ⟦K1A 0B1⟧",
            "código postal: ⟦28013⟧",
            "CEP ⟦01310-100⟧",
            "PLZ ⟦8001⟧",
        ],
    );
    keeps(&[
        "2. Identify Gyms Near Tompkins Square Park",
        "In 1929 Wall Street crashed",
        "10 miles down the road",
        "12 items on the way",
        "a 5 Star Hotel",
        "Section 12 of the Act",
        "zip_path = '../2023/validation'",
        "Apollo 11 landed",
        "iPhone 15 Pro",
        "2 Smart Lock Pro, 1 Garden Light",
        "© 2024 Superior Court of California",
        "moved here on May 15",
        "the corner of the table and the wall",
        "in Order 12345 and in Model 60601",
        "in Europe 12345 people",
        "in Windows 11",
        "Suite of 3 tests",
        "Widget 12, 45678 units",
        "the GPA is 2.0 Grade Point",
        "Room 12",
    ]);
}

#[test]
fn births() {
    finds(
        Kind::BirthDate,
        &[
            "born on ⟦2/8/1935⟧",
            "DOB: ⟦1985-03-12⟧",
            "date of birth is ⟦March 12, 1985⟧",
            "born ⟦12th of March, 1985⟧",
            "nacido el ⟦28 de junio de 1955⟧",
            "geboren am ⟦12. März 1985⟧",
            "\"dob\":\"⟦1986-03-14⟧\"",
            "born on the ⟦5th of June 1990⟧",
            "DOB ⟦05-Mar-1985⟧",
            "D.O.B.: ⟦12/Mar/1985⟧",
            "birthday: ⟦Mar 12 1985⟧",
            "date_of_birth=⟦1985-03-12⟧T00:00:00Z",
            "née le ⟦5 juin 1990⟧",
            "date de naissance : ⟦05/06/1990⟧",
            "data di nascita ⟦5 giugno 1990⟧",
            "data de nascimento: ⟦5 de junho de 1990⟧",
            "fecha de nacimiento: ⟦5-6-1990⟧",
            "geb. ⟦12.03.85⟧",
            "geboren op ⟦5 juni 1990⟧",
            "född den ⟦5 juni 1990⟧",
            "født ⟦5. juni 1990⟧",
            "data urodzenia: ⟦05.06.1990⟧",
            "urodzona ⟦5 czerwca 1990⟧",
            "出生日期:⟦1990年6月5日⟧",
            "生年月日 ⟦1990年6月5日⟧",
            "birth date ⟦19900605⟧",
            "my birthday is ⟦June 5⟧ and",
        ],
    );
    keeps(&[
        "born and raised; invoice of 2024-05-15",
        "the kettle was born from an idea of June 2019",
        "due on 2024-05-15",
        "flight on May 20, 2024",
        "founded in 1977",
        "born in 1980",
        "Date: 2003-08-28 12:13:52",
    ]);
}

#[test]
fn names() {
    finds(
        Kind::PersonName,
        &[
            "Dear Mr. ⟦Smith⟧, hello",
            "My name is ⟦Anna-Lena Berg⟧ and",
            "me llamo ⟦Ana García⟧",
            "Herr ⟦Müller⟧ ruft an",
            "\"last_name\": \"⟦Li⟧\"",
            "Surname: ⟦O'Brien⟧",
            "Dr. ⟦J. Doe⟧",
        ],
    );
    keeps(&[
        "my name is wrong on the card",
        "the name is required",
        "MS Office",
        "Main Dr",
        "first_name: string",
        "the last name is missing",
    ]);
}

#[test]
fn secrets() {
    // Put together here, so that no scanner of repositories takes them for real ones.
    let random = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0";
    let jwt = format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{random}");
    for value in [
        format!("AKIA{}", "IOSFODNN7EXAMPLE"),
        format!("ghp_{}", &random[..36]),
        format!("github_pat_{random}"),
        format!("glpat-{}", &random[..20]),
        format!("xoxb-123456789012-{}", &random[..24]),
        format!("sk_live_{}", &random[..24]),
        format!("AIza{}", &random[..35]),
        format!("sk-proj-{random}"),
        format!("sk-ant-api03-{random}"),
        format!("hf_{}", &random[..34]),
        format!("npm_{}", &random[..36]),
        jwt.clone(),
        format!("-----BEGIN RSA PRIVATE KEY-----\n{random}\n-----END RSA PRIVATE KEY-----"),
    ] {
        let text = format!("it is {value} as you see");
        assert_eq!(found(&text), [(Kind::Secret, value.as_str())], "{text}");
    }
    let named = "kD93mZ7qLw2XvB8s";
    for text in [
        // Keys of clouds and services, temporary ones too.
        format!("⟦{}{}⟧ is temporary", "ASIA", "IOSFODNN7EXAMPLE"),
        format!("⟦{}{random}{random}⟧", "IQoJb3JpZ2lu"),
        format!("⟦{}{random}⟧", "ya29."),
        format!("⟦{}{}⟧", "GOCSPX-", &random[..28]),
        format!("client_secret=⟦{random}⟧"),
        format!("AZURE_CLIENT_SECRET: ⟦abc8Q~{random}⟧"),
        format!("SharedAccessSignature?sv=2024-01-01&sig=⟦{random}%3D⟧&se=2027"),
        format!("⟦{}{random}⟧", "gho_"),
        format!("⟦{}{random}⟧", "rk_live_"),
        format!("⟦{}{random}⟧", "whsec_"),
        format!("⟦{}{random}⟧", "sk-svcacct-"),
        format!("⟦{}{random}⟧", "xoxp-1234567890-"),
        // What stands around them.
        format!("**⟦{}{}⟧**", "AKIA", "IOSFODNN7EXAMPLE"),
        format!("<td>⟦{}{random}⟧</td>", "ghp_"),
        format!("`⟦{}{random}⟧`", "sk_live_"),
        format!("(⟦{jwt}⟧)"),
        format!("authorization: bearer ⟦{random}⟧"),
        format!("'Authorization': 'Token ⟦{random}⟧'"),
        // Fields, in markup and in JSON, and in JSON that is a text.
        format!("password: **⟦{named}⟧** thanks"),
        format!("Password: <b>⟦{named}⟧</b>"),
        format!("password=<code>⟦{named}⟧</code>"),
        format!("{{\"password\": \"⟦pa\\\"ss{named}⟧\", \"a\": 1}}"),
        format!("{{\"body\": \"{{\\\"password\\\": \\\"⟦{named}⟧\\\"}}\"}}"),
        format!("{{\"body\": \"{{\\\\\\\"apiKey\\\\\\\": \\\\\\\"⟦{named}⟧\\\\\\\"}}\"}}"),
        format!("password='⟦{named}⟧'"),
        format!("PGPASSWORD=⟦{named}⟧ psql"),
        format!("https://example.com/login?password=⟦{named}⟧&next=1"),
        format!("mysql --user root --password ⟦{named}⟧ db"),
        format!("my password is **⟦{named}⟧**."),
        // Private keys, cut off at either end, with escaped line ends.
        format!("-it is ⟦-----BEGIN EC PRIVATE KEY-----\n{random}\n{random}⟧"),
        format!("rest: ⟦{random}\n{random}\n-----END EC PRIVATE KEY-----⟧ as you see"),
        format!("\"private_key\": \"⟦-----BEGIN PRIVATE KEY-----\\n{random}\\n-----END PRIVATE KEY-----⟧\\n\""),
        format!("\"key\": \"⟦{random}\\n-----END PRIVATE KEY-----⟧\\n\""),
    ] {
        finds(Kind::Secret, &[text.as_str()]);
    }
    let pair = format!("{}IOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AKIA");
    assert_eq!(found(&pair).iter().map(|(kind, value)| (*kind, value.len())).collect::<Vec<_>>(), [(Kind::Secret, 20), (Kind::Secret, 40)]);
    let header = format!("Authorization: Bearer ⟦{random}⟧");
    let query = format!("https://example.com/x?access_token=⟦{random}⟧&page=2");
    finds(
        Kind::Secret,
        &[
            header.as_str(),
            query.as_str(),
            "password=⟦hunter2⟧",
            "\"password\": \"⟦correct horse⟧\"",
            "DB_PASSWORD=⟦s3cr3t!⟧",
            "my password is ⟦hunter2⟧.",
            "aws_secret_access_key = ⟦wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY⟧",
            "AccountKey=⟦Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==⟧;EndpointSuffix=x",
            "Server=db;User Id=sa;Password=⟦P4ss⟧;",
            "X-Api-Key: ⟦9f8e7d6c5b4a3f2e1d0c⟧",
            "CVV ⟦123⟧",
            "my PIN is ⟦4821⟧",
        ],
    );
    keeps(&[
        "password: required",
        "Password: must have eight letters",
        "password=${DB_PASSWORD}",
        "password: ********",
        "max_tokens=4096",
        "\"total_tokens\": 1234567",
        "the token was refused",
        "the bearer of bad news arrives",
        "next_token: null",
        "sk-learn is a library",
        "key: value",
        "-----BEGIN CERTIFICATE-----",
        "the secret: be kind",
        "password=<your-password>",
        "--password is an option",
        "image-update IMAGE --name NEW_NAME2",
        "-----END CERTIFICATE-----",
        "the password is **required**",
    ]);
}

#[test]
fn what_identifies_products_orders_and_policies_stays() {
    keeps(&[
        "order #W1234567",
        "Your order W2378156 has items 4896585277 and 1656367028",
        "SKU-99812",
        "policy PL-2231",
        "invoice INV-2024-00123",
        "2026-11-23T12:00:00Z",
        "2024-05-15 06:00:00",
        "reservation ZFA04Y, flight HAT004 from SFO to JFK",
        "$1,234.56 and 99.95 EUR",
        "price: 1299.00",
        "version 2.14.0",
        "user sofia_li_1234",
        "payment_id gift_card_1234567",
        "arn:aws:bedrock:us-east-1:123456789012:knowledge-base/KBPRODUCTS",
        "s3://example-products/manuals/kettle.md",
        "request id 6f1c2a3b-1111-2222-3333-444455556666",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "the score is 0.8734521 of 1",
        "17 rooms, 3 nights, 2 guests",
        "confirmation code 8812344",
        "case 00123456",
        "3... 2... 1... liftoff!",
        "https://www.example.com/products/12345678?page=2",
    ]);
}

#[test]
fn placeholders_are_stable_and_differ_with_the_salt() {
    let text = "jane@example.com, JANE@example.com, 4111 1111 1111 1111 and 4111-1111-1111-1111";
    let redacted = redactor().redact(text);
    assert_eq!(redacted, "[email:430ed3f9], [email:430ed3f9], [card:40f3e3ac] and [card:40f3e3ac]");
    assert_ne!(Redactor::new(b"another").redact(text), redacted);
    assert_eq!(redactor().redact("call +1 415 555 2671")[5..], redactor().redact("call 415-555-2671")[5..]);
    assert_eq!(redactor().redact("IBAN GB82 WEST 1234 5698 7654 32")[5..], redactor().redact("IBAN gb82west12345698765432")[5..]);
}

#[test]
fn a_users_id_becomes_a_placeholder_whatever_it_is() {
    let placeholder = redactor().user("u-17");
    assert_eq!(placeholder, "[user:804982eba3c0a646]");
    assert_eq!(redactor().user(&placeholder), placeholder, "one that is there stays");
    assert_eq!(redactor().redact(&placeholder), placeholder);
    assert_ne!(Redactor::new(b"another").user("u-17"), placeholder);
    for id in ["u-18", "U-17", "", "[user:1]", "[user:0000000000000000", "[user:3fa9c1d2e07b5a41]x", "[email:3fa9c1d2]"] {
        assert!(!redactor().user(id).contains(id) || id.is_empty(), "{id}");
        assert_eq!(redactor().user(id).len(), placeholder.len());
    }
}

#[test]
fn ids_lose_what_is_personal_and_stay_apart() {
    let redactor = redactor();
    let id = |id: &str| redactor.redact_id(id).into_owned();
    let of_jane = id("jane@example.com/2026-11-23");
    assert!(of_jane.starts_with("[email:") && of_jane.ends_with("]/2026-11-23") && of_jane.len() == 35, "{of_jane}");
    assert_eq!(id(&of_jane), of_jane);
    assert_eq!(redactor.redact(&of_jane), of_jane);
    assert_ne!(id("JANE@example.com/2026-11-23"), of_jane, "ids that differ are not the same");
    assert!(id("whatsapp:+14155552671").starts_with("whatsapp:[phone:"));
    let many = "a@b.io ".repeat(28);
    assert!(id(&many).starts_with("[email:") && id(&many).len() == 24, "{}", id(&many));
    for stays in [
        "6921d5e0-a1b2-c3d4-e5f6-0718293a4b5c",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "4bf92f3577b34da6a3ce929d0e0e4736/00f067aa0ba902b7",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "anthropic.claude-3-5-sonnet-20241022-v2:0",
        "gpt-4o-2024-08-06",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
        "session-17",
        "billing/refund",
        "1234567890",
        "KB12345678",
        "order-2231-2026-11-23T10:00:00Z",
        "toolu_01A09q90qw90lq917835lq9",
        "call_abc123DEF456ghi789JKL012",
        "chatcmpl-9aBcDeFgHiJkLmNoPqRsTuVwXyZ01",
    ] {
        assert_eq!(id(stays), stays);
    }
}

#[test]
fn known_values_go_wherever_they_are_words() {
    let redactor = redactor();
    let values = [
        (Kind::PersonName, "Lena".to_owned()),
        (Kind::PersonName, "Lena Berg".to_owned()),
        (Kind::Personal, "email".to_owned()),
        (Kind::Personal, "--".to_owned()),
    ];
    let redacted = redactor.redact_values("Lena Berg met Lena, not Helena; [email:3fa9c1d2] is her email -- yes", &values);
    assert_eq!(redacted.matches("[person-name:").count(), 2);
    assert!(!redacted.contains("Berg") && redacted.contains("Helena") && redacted.contains("[email:3fa9c1d2]") && redacted.contains("--"));
    assert_eq!(redacted.matches("[personal:").count(), 1);
    assert_eq!(redactor.redact_values(&redacted, &values), redacted);
    assert_eq!(redactor.redact(&redacted), redacted, "patterns leave what stands there now");
}

#[test]
fn the_name_of_a_field_says_what_its_value_is() {
    let redactor = redactor();
    for (name, value, kind) in [
        ("password", "hunter2", "secret"),
        ("dbPassword", "correct \"horse\"", "secret"),
        ("customerPhone", "987654321", "phone"),
        ("phone_number", "4155552671", "phone"),
        ("dob", "1986-03-14", "birth-date"),
        ("birthDate", "1986-03-14", "birth-date"),
        ("ssn", "514690360", "national-id"),
        ("zip", "10029", "postcode"),
        ("last_name", "Li", "person-name"),
        ("pin", "4821", "secret"),
        ("apiKey", "9f8e7d6c5b4a3f2e1d0c", "secret"),
        ("Authorization", "Basic dXNlcjpodW50ZXIy", "secret"),
    ] {
        let redacted = redactor.redact_field(name, value);
        assert!(redacted.contains(&format!("[{kind}:")) && !redacted.contains(value), "{name}: {redacted}");
        assert_eq!(redactor.redact_field(name, &redacted), redacted, "{name}");
    }
    for (name, value) in [("order", "4155552671"), ("name", "Kettle 2"), ("date", "2026-11-23"), ("total", "1234567"), ("", "x")] {
        assert_eq!(redactor.redact_field(name, value), value, "{name}");
    }
}

#[test]
fn escapes_of_json_are_not_part_of_a_value() {
    finds(
        Kind::Card,
        &["\"query\": \"my card\\n⟦4111111111111111⟧\\tthanks", "card\\r\\n⟦4111 1111 1111 1111⟧\\n", "C:\\t⟦4111111111111111⟧"],
    );
    finds(Kind::Email, &["write to\\n⟦jane@example.com⟧\\n", "{\\\"to\\\":\\\"⟦jane@example.com⟧\\\"}"]);
    finds(Kind::Phone, &["call\\n⟦415-555-2671⟧\\n", "call\\n⟦+1 415 555 2671⟧\\n", "call\\n⟦(415) 555-2671⟧\\n"]);
    finds(Kind::Ip, &["from\\n⟦203.0.113.9⟧\\n"]);
    finds(Kind::Secret, &["key\\n⟦AKIAIOSFODNN7EXAMPLE⟧\\nend"]);
}

#[test]
fn what_needs_no_change_is_borrowed_and_placeholders_stay() {
    assert!(matches!(redactor().redact("nothing to see"), std::borrow::Cow::Borrowed(_)));
    let text = "password=[secret:0a1b2c3d] call [phone:00112233] or [email:aabbccdd]";
    assert_eq!(redactor().redact(text), text);
}

#[test]
fn names_of_kinds_do_not_change() {
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let expected = "secret url-credential card iban national-id passport driver-licence bank-account wallet email phone ip mac birth-date address \
                    postcode person-name personal";
    assert_eq!(names.join(" "), expected);
    assert!(Kind::ALL.windows(2).all(|pair| pair[0] < pair[1]), "the order is that of precedence");
}

/// Texts made of what the scanners look for.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "jane@example.com", "4111 1111 1111 1111", "+1 415 555 2671", "phone ", "SSN 514-69-0360", "born ", "1985-03-12", "12 Main Street", "Apt. 5",
            "password=", "hunter2", "https://a:b@c.de/", "10.0.0.1", "00:1b:44:11:3a:b7", "GB82 WEST 1234 5698 7654 32", "Mr. Smith", "my name is Ana",
            "order ", "zip 12345", "Bearer ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx", "[email:3fa9c1d2]", "[", "]", "-----BEGIN PRIVATE KEY-----", "fe80::1:2",
            "Calle Mayor 12", ", Riverside, CA 92501", "account 12345678", "passport C01X00T47", "\"last_name\": \"Li\"",
        ]).prop_map(str::to_owned),
        2 => "[0-9]{1,9}",
        2 => "[ .,:;/()+#@=_\\-\n\"']{1,3}",
        1 => "[a-zA-Z]{1,12}",
        1 => "\\PC{0,6}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn holds(text: &str) {
    let redactor = redactor();
    let spans = redactor.find(text);
    assert!(spans.iter().all(|span| text.get(span.range.clone()).is_some_and(|value| !value.is_empty())), "{text:?}: {spans:?}");
    assert!(spans.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "{text:?}: {spans:?}");
    let redacted = redactor.redact(text);
    assert_eq!(redactor.redact(&redacted), redacted, "{text:?}");
    assert_eq!(redactor.find(&redacted), [], "{text:?} became {redacted:?}");
    for span in &spans {
        let value = &text[span.range.clone()];
        let kept = spans.iter().fold(text.to_owned(), |kept, other| kept.replace(&text[other.range.clone()], "\u{1}"));
        // A short value, such as a PIN, may be elsewhere as a part of something that stays.
        assert!(value.len() < 8 || !kept.contains(value), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_text_holds(text in "\\PC{0,200}") {
        holds(&text);
    }

    #[test]
    fn any_pieces_hold(text in pieces()) {
        holds(&text);
    }

    #[test]
    fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        holds(&String::from_utf8_lossy(&bytes));
    }
}

/// What would be slow if a scanner looked further than its bounds: forty times as much text takes about forty times as
/// long. The bound is loose since time is measured; quadratic work is beyond it by far.
#[test]
fn hostile_texts_take_linear_time() {
    let time = |text: &str| {
        let start = std::time::Instant::now();
        let _ = redactor().redact(text);
        start.elapsed().as_secs_f64()
    };
    for piece in [
        "1 ",
        "1-",
        "+1",
        "(1",
        "a@",
        "@a.b",
        "a.",
        "a:",
        "::",
        "1:",
        "=",
        "a=",
        "eyJ",
        "eyJa.",
        "-----BEGIN PRIVATE KEY-----",
        "sk-",
        "http://a",
        "://",
        "[email:",
        "[",
        "my name is ",
        "Mr. A",
        "Apt 1 ",
        "1 A ",
        "A 1 ",
        "é1",
        "0000",
        "password is ",
        "password=",
        "\"",
        "a_",
        "%40",
        "--",
        "Bearer a",
        "address: A 1, ",
        "phone 1234567 ",
        "a@b.cd ",
        "555-123-4567-",
        "zip 12345 ",
        "x",
        "4111 ",
        "GB82 ",
    ] {
        let small = time(&piece.repeat(2_500 / piece.len() + 1)).max(2e-4);
        let large = time(&piece.repeat(100_000 / piece.len() + 1));
        assert!(large < small * 40.0 * 8.0, "{piece:?}: {small:.5} s, forty times as much {large:.5} s");
    }
}
