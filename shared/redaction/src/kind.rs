//! What is found.

/// The kind of a found value. The names are part of what is stored and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A key, token, password, one-time code or private key.
    Secret,
    /// `user:password` in a URL.
    UrlCredential,
    /// The number of a payment card.
    Card,
    /// An international bank account number.
    Iban,
    /// A number that a state gives a person: social security, tax, identity card.
    NationalId,
    /// A passport's number.
    Passport,
    /// A driver's licence's number.
    DriverLicence,
    /// A bank account's or a bank's number.
    BankAccount,
    /// An address of a cryptocurrency.
    Wallet,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// An IP address, version 4 or 6.
    Ip,
    /// A network card's address.
    Mac,
    /// A date of birth.
    BirthDate,
    /// A postal address, whole or in part.
    Address,
    /// A postcode on its own.
    Postcode,
    /// A person's name, where the words around it say that it is one.
    PersonName,
    /// Anything else that is personal; no pattern finds it.
    Personal,
}

impl Kind {
    /// All of them. Where two found values overlap, the kind that comes first here names the whole.
    pub const ALL: [Self; 18] = [
        Self::Secret,
        Self::UrlCredential,
        Self::Card,
        Self::Iban,
        Self::NationalId,
        Self::Passport,
        Self::DriverLicence,
        Self::BankAccount,
        Self::Wallet,
        Self::Email,
        Self::Phone,
        Self::Ip,
        Self::Mac,
        Self::BirthDate,
        Self::Address,
        Self::Postcode,
        Self::PersonName,
        Self::Personal,
    ];

    /// The name, as it stands in a placeholder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::UrlCredential => "url-credential",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::NationalId => "national-id",
            Self::Passport => "passport",
            Self::DriverLicence => "driver-licence",
            Self::BankAccount => "bank-account",
            Self::Wallet => "wallet",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Ip => "ip",
            Self::Mac => "mac",
            Self::BirthDate => "birth-date",
            Self::Address => "address",
            Self::Postcode => "postcode",
            Self::PersonName => "person-name",
            Self::Personal => "personal",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}
