//! What the words near a number say that it is.

use crate::text::{Lower, Text};

/// What a word speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    Phone,
    /// "My number is": of a phone, unless another word says of what.
    Number,
    NationalId,
    Passport,
    Driver,
    Licence,
    Bank,
    Postcode,
    Birth,
    Card,
    /// A short number that only its owner should know.
    Pin,
    Version,
    /// A date of something: "birth date" is one word in two.
    Date,
    /// What is sold, ordered, booked or counted: its numbers stay.
    Thing,
    Address,
}

use Topic::{Address, Bank, Birth, Card, Date, Driver, Licence, NationalId, Number, Passport, Phone, Pin, Postcode, Thing, Version};

/// Words of the languages that are spoken most where this is used, in the order of their bytes.
#[rustfmt::skip]
const WORDS: &[(&str, Topic)] = &[
    ("aadhaar", NationalId), ("aadhar", NationalId), ("aba", Bank), ("account", Bank), ("acct", Bank), ("address", Address),
    ("addresses", Address), ("adres", Address), ("adresa", Address), ("adresi", Address), ("adress", Address), ("adresse", Address),
    ("adresses", Address), ("adresy", Address), ("ahv", NationalId), ("amex", Card), ("amount", Thing), ("aniversário", Birth),
    ("anniversaire", Birth), ("anrufen", Phone), ("anschrift", Address), ("appeler", Phone), ("appelez", Phone), ("article", Thing),
    ("artikel", Version), ("arxiv", Thing), ("asin", Thing), ("ausweisnummer", NationalId), ("balance", Thing), ("bank", Bank),
    ("bankleitzahl", Bank), ("batch", Thing), ("bday", Birth), ("bellen", Phone), ("bestellnummer", Thing), ("bestellung", Thing),
    ("bid", Thing), ("birth", Birth), ("birthdate", Birth), ("birthdates", Birth), ("birthday", Birth), ("birthdays", Birth),
    ("birthplace", Birth), ("blz", Bank), ("booking", Thing), ("bookings", Thing), ("born", Birth), ("bsb", Bank), ("bsn", NationalId),
    ("build", Version), ("burgerservicenummer", NationalId), ("bytes", Thing), ("call", Phone), ("called", Phone), ("calling", Phone),
    ("card", Card), ("cards", Card), ("carta", Card), ("carte", Card), ("cartão", Card), ("cas", Thing), ("case", Thing), ("cbu", Bank),
    ("cedula", NationalId), ("cell", Phone), ("cellphone", Phone), ("cellular", Phone), ("cellulare", Phone), ("celular", Phone),
    ("cep", Postcode), ("chapter", Version), ("checking", Bank), ("chiamare", Phone), ("chrome", Version), ("clabe", Bank),
    ("claim", Thing), ("clause", Version), ("cnpj", NationalId), ("codice", NationalId), ("commande", Thing), ("compleanno", Birth),
    ("compte", Bank), ("conducción", Driver), ("conducir", Driver), ("conduire", Driver), ("confirmation", Thing), ("conta", Bank),
    ("contact", Phone), ("conto", Bank), ("cost", Thing), ("costs", Thing), ("cpf", NationalId), ("cpr", NationalId), ("credit", Card),
    ("creditcard", Card), ("cuenta", Bank), ("cuil", NationalId), ("cuit", NationalId), ("cumpleaños", Birth), ("curp", NationalId),
    ("cvc", Pin), ("cvc2", Pin), ("cvv", Pin), ("cvv2", Pin), ("cédula", NationalId), ("date", Date), ("dateofbirth", Birth),
    ("dates", Date), ("debit", Card), ("deliver", Address), ("desk", Phone), ("dial", Phone), ("direccion", Address),
    ("dirección", Address), ("dni", NationalId), ("dob", Birth), ("docket", Thing), ("doi", Thing), ("domicilio", Address),
    ("doğum", Birth), ("driver", Driver), ("drivers", Driver), ("driving", Driver), ("ean", Thing), ("endereço", Address),
    ("epoch", Thing), ("eur", Thing), ("factura", Thing), ("facturas", Thing), ("fax", Phone), ("firefox", Version),
    ("firmware", Version), ("fiscal", NationalId), ("fiscale", NationalId), ("flight", Thing), ("flights", Thing), ("född", Birth),
    ("födelsedatum", Birth), ("fødselsdag", Birth), ("fødselsdato", Birth), ("fødselsnummer", NationalId), ("født", Birth),
    ("führerschein", Licence), ("gbp", Thing), ("geb", Birth), ("geboortedatum", Birth), ("geboren", Birth), ("geburtsdatum", Birth),
    ("geburtstag", Birth), ("gsm", Phone), ("gtin", Thing), ("guid", Thing), ("guida", Driver), ("habite", Address), ("handy", Phone),
    ("handynummer", Phone), ("hetu", NationalId), ("home", Address), ("hotline", Phone), ("iban", Bank), ("identidad", NationalId),
    ("idnr", NationalId), ("ifsc", Bank), ("imei", Thing), ("imessage", Phone), ("indirizzo", Address), ("invoice", Thing),
    ("invoices", Thing), ("isbn", Thing), ("issn", Thing), ("item", Thing), ("items", Thing), ("itin", NationalId), ("karte", Card),
    ("komórka", Phone), ("konto", Bank), ("kontonr", Bank), ("kontonummer", Bank), ("kreditkarte", Card), ("landline", Phone),
    ("licence", Licence), ("licences", Licence), ("licencia", Licence), ("license", Licence), ("licenses", Licence), ("ligar", Phone),
    ("line", Thing), ("lines", Thing), ("live", Address), ("lived", Address), ("lives", Address), ("living", Address), ("llamar", Phone),
    ("llamarme", Phone), ("llame", Phone), ("llámame", Phone), ("located", Address), ("lot", Thing), ("maestro", Card), ("mail", Address),
    ("mastercard", Card), ("medicare", NationalId), ("mob", Phone), ("mobil", Phone), ("mobile", Phone), ("mobilnummer", Phone),
    ("mobilní", Phone), ("mobiltelefon", Phone), ("model", Thing), ("moved", Address), ("movil", Phone), ("móvil", Phone),
    ("nacida", Birth), ("nacido", Birth), ("nacimiento", Birth), ("nació", Birth), ("nací", Birth), ("naissance", Birth),
    ("narozen", Birth), ("narozena", Birth), ("narození", Birth), ("nasci", Birth), ("nascida", Birth), ("nascido", Birth),
    ("nascimento", Birth), ("nascita", Birth), ("nata", Birth), ("nhs", NationalId), ("nie", NationalId), ("nif", NationalId),
    ("nino", NationalId), ("nir", NationalId), ("nric", NationalId), ("number", Number), ("numbers", Number), ("numero", Number),
    ("nummer", Number), ("né", Birth), ("née", Birth), ("número", Number), ("order", Thing), ("orderid", Thing), ("orders", Thing),
    ("otp", Pin), ("package", Thing), ("page", Thing), ("pages", Thing), ("parcel", Thing), ("part", Thing), ("pasaporte", Passport),
    ("paspoort", Passport), ("passaporte", Passport), ("passaporto", Passport), ("passcode", Pin), ("passeport", Passport),
    ("passport", Passport), ("passports", Passport), ("patent", Thing), ("patente", Licence), ("pedido", Thing), ("pedidos", Thing),
    ("permis", Licence), ("personalausweis", NationalId), ("personnummer", NationalId), ("pesel", NationalId), ("phone", Phone),
    ("phonenumber", Phone), ("phones", Phone), ("pin", Pin), ("pincode", Postcode), ("plz", Postcode), ("pmid", Thing), ("policy", Thing),
    ("portable", Phone), ("postal", Postcode), ("postcode", Postcode), ("postleitzahl", Postcode), ("precio", Thing), ("price", Thing),
    ("prices", Thing), ("product", Thing), ("producto", Thing), ("productos", Thing), ("products", Thing), ("puh", Phone),
    ("puhelin", Phone), ("quantity", Thing), ("reach", Phone), ("rechnung", Thing), ("rechnungsnummer", Thing), ("ref", Thing),
    ("reference", Thing), ("reisepass", Passport), ("reisepassnummer", Passport), ("rekening", Bank), ("rekeningnummer", Bank),
    ("release", Version), ("reserva", Thing), ("reservation", Thing), ("reservations", Thing), ("reside", Address), ("resides", Address),
    ("residing", Address), ("restaurant", Address), ("rev", Version), ("rfc", NationalId), ("rijbewijs", Licence),
    ("rijksregisternummer", NationalId), ("ring", Phone), ("room", Thing), ("routing", Bank), ("rufnummer", Phone), ("rut", NationalId),
    ("safari", Version), ("savings", Bank), ("sdk", Version), ("section", Version), ("serial", Thing), ("ship", Address),
    ("shipment", Thing), ("signal", Phone), ("sin", NationalId), ("sku", Thing), ("sms", Phone), ("social", NationalId), ("sort", Bank),
    ("sozialversicherungsnummer", NationalId), ("ssn", NationalId), ("ssns", NationalId), ("station", Address), ("statute", Thing),
    ("steuer", NationalId), ("steuerid", NationalId), ("steueridentifikationsnummer", NationalId), ("straße", Address),
    ("syntymäaika", Birth), ("syntynyt", Birth), ("született", Birth), ("sécu", NationalId), ("tarjeta", Card), ("taxpayer", NationalId),
    ("tckn", NationalId), ("tel", Phone), ("telefon", Phone), ("telefone", Phone), ("telefonnr", Phone), ("telefonnummer", Phone),
    ("telefonní", Phone), ("telefono", Phone), ("telefonu", Phone), ("telefoon", Phone), ("telefoonnummer", Phone), ("telegram", Phone),
    ("telemovel", Phone), ("telemóvel", Phone), ("telephone", Phone), ("teléf", Phone), ("teléfono", Phone), ("teléfonos", Phone),
    ("text", Phone), ("texting", Phone), ("tfn", NationalId), ("tfno", Phone), ("ticket", Thing), ("tickets", Thing),
    ("timestamp", Thing), ("tin", NationalId), ("tlf", Phone), ("tlfn", Phone), ("tokens", Thing), ("total", Thing), ("tracking", Thing),
    ("transaction", Thing), ("tél", Phone), ("téléphone", Phone), ("uidai", NationalId), ("ul", Address), ("upc", Thing),
    ("urodzenia", Birth), ("urodzin", Birth), ("urodzona", Birth), ("urodzony", Birth), ("usd", Thing), ("uuid", Thing), ("v", Version),
    ("ver", Version), ("version", Version), ("versions", Version), ("visa", Card), ("vivo", Address), ("voicemail", Phone),
    ("vuelo", Thing), ("vuelos", Thing), ("whatsapp", Phone), ("wohne", Address), ("wohnhaft", Address), ("wohnt", Address),
    ("zip", Postcode), ("zipcode", Postcode), ("zipcodes", Postcode), ("τηλ", Phone), ("τηλέφωνο", Phone), ("родилась", Birth),
    ("родился", Birth), ("рождения", Birth), ("тел", Phone), ("телефон", Phone), ("телефона", Phone), ("טלפון", Phone), ("هاتف", Phone),
    ("फोन", Phone), ("出生日期", Birth), ("手机", Phone), ("携帯", Phone), ("生年月日", Birth), ("生日", Birth), ("电话", Phone), ("電話", Phone),
    ("電話番号", Phone), ("생년월일", Birth), ("전화", Phone), ("전화번호", Phone),
];

/// For each first byte, which lengths the words that begin with it have: most words of a text are none of these.
const LENGTHS: [u32; 256] = {
    let mut lengths = [0; 256];
    let mut place = 0;
    while place < WORDS.len() {
        let word = WORDS[place].0.as_bytes();
        lengths[word[0] as usize] |= 1 << word.len();
        place += 1;
    }
    lengths
};

/// How far back words count, in bytes and in words.
const REACH: usize = 56;
const MOST: usize = 8;

/// What the words before a value say, the nearest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    topics: [Option<(Topic, usize)>; MOST],
    count: usize,
}

impl Context {
    /// Reads the words before a place. A field's end is as far as its words reach: `"phone": null, "total": 12`.
    pub(crate) fn before(text: Text<'_>, at: usize) -> Self {
        let mut context = Self { topics: [None; MOST], count: 0 };
        let mut next = at;
        for (distance, word) in text.words_before(at, REACH).take(MOST).enumerate() {
            if ends_context(text.slice(word.end..next)) {
                break;
            }
            next = word.start;
            if let Some(topic) = topic(text.slice(word)) {
                context.topics[context.count] = Some((topic, distance));
                context.count += 1;
            }
        }
        context
    }

    fn topics(&self) -> impl Iterator<Item = (Topic, usize)> + '_ {
        self.topics.iter().flatten().copied()
    }

    /// Whether it is spoken of anywhere.
    pub(crate) fn has(&self, topic: Topic) -> bool {
        self.topics().any(|(found, _)| found == topic)
    }

    /// Whether it is the nearest of all topics, or only words that go with it are nearer.
    pub(crate) fn is(&self, topic: Topic) -> bool {
        let mut topics = self.topics().filter(|(found, _)| *found != Topic::Number || topic == Topic::Number);
        match topics.next() {
            // "Birth date".
            Some((Topic::Date, distance)) if topic == Topic::Birth => topics.next() == Some((topic, distance + 1)),
            nearest => nearest.is_some_and(|(found, _)| found == topic),
        }
    }

    /// Whether the word just before, or the one before that, says that something else is numbered.
    pub(crate) fn is_thing(&self) -> bool {
        self.topics()
            .find(|(found, _)| *found != Topic::Number)
            .is_some_and(|(found, distance)| matches!(found, Topic::Thing | Topic::Date) && distance <= 2)
    }
}

fn ends_context(between: &str) -> bool {
    let lines = between.bytes().filter(|byte| *byte == b'\n').count();
    // What a colon announces may begin after an empty line.
    lines > 1 && !between.starts_with(':')
        || between.contains(['{', '}', ';', '|', '•'])
        || between.contains("\",")
        || between.contains("',")
}

/// What a word speaks of.
pub(crate) fn topic(word: &str) -> Option<Topic> {
    let first = word.bytes().next()?.to_ascii_lowercase();
    if word.len() > Lower::LONGEST || LENGTHS[usize::from(first)] & (1 << word.len()) == 0 {
        return None;
    }
    let lower = Lower::of(word);
    let place = WORDS.binary_search_by(|(known, _)| (*known).cmp(lower.text())).ok()?;
    Some(WORDS[place].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_in_order_and_short_enough() {
        assert!(WORDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(WORDS.iter().all(|(word, _)| word.len() <= Lower::LONGEST));
    }
}
