//! Tools that change something, and words that say that it was done.

use crate::signals::{calls_a_person, words};

/// Something that assistants do: how tools for it are called, and how it is said to be done.
struct Deed {
    /// Words of which one stands in the tool's name.
    tools: &'static [&'static str],
    /// Phrases in lower case; each says that it is done, not that it can be or will be.
    done: &'static [&'static str],
}

/// What is often claimed. The phrases are those of whole clauses, so that "can be cancelled" and "was it cancelled?" are not
/// among them.
const DEEDS: [Deed; 6] = [
    Deed {
        tools: &["cancel", "cancelar", "anular", "stornieren", "annuler"],
        done: &[
            "has been cancelled",
            "has been canceled",
            "have been cancelled",
            "have been canceled",
            "have cancelled",
            "have canceled",
            "i've cancelled",
            "i've canceled",
            "is now cancelled",
            "is now canceled",
            "was successfully cancelled",
            "was successfully canceled",
            "ha sido cancelad",
            "he cancelado",
            "hemos cancelado",
            "ha sido anulad",
            "wurde storniert",
            "habe ich storniert",
            "a été annulé",
            "foi cancelad",
        ],
    },
    Deed {
        tools: &[
            "book",
            "reserve",
            "reservation",
            "reservar",
            "reserva",
            "buchen",
            "order",
            "place",
            "purchase",
            "buy",
            "comprar",
            "pedido",
        ],
        done: &[
            "has been booked",
            "have been booked",
            "have booked",
            "i've booked",
            "is now booked",
            "booking is confirmed",
            "reservation is confirmed",
            "reservation has been made",
            "order has been placed",
            "have placed your order",
            "ha sido reservad",
            "he reservado",
            "reserva ha sido creada",
            "reserva ha sido confirmada",
            "wurde gebucht",
            "habe ich gebucht",
            "a été réservé",
            "foi reservad",
        ],
    },
    Deed {
        tools: &["refund", "return", "reembolsar", "reembolso", "devolver", "devolucion", "erstatten", "rembourser", "send", "certificate"],
        done: &[
            "has been refunded",
            "have refunded",
            "i've refunded",
            "refund has been processed",
            "refund has been issued",
            "have issued a refund",
            "i've issued a refund",
            "ha sido reembolsad",
            "he reembolsado",
            "reembolso ha sido procesado",
            "wurde erstattet",
            "a été remboursé",
            "foi reembolsad",
        ],
    },
    Deed {
        tools: &[
            "update",
            "change",
            "modify",
            "edit",
            "set",
            "upgrade",
            "add",
            "exchange",
            "actualizar",
            "modificar",
            "cambiar",
            "agregar",
            "ändern",
            "modifier",
        ],
        done: &[
            "has been updated",
            "have been updated",
            "have updated",
            "i've updated",
            "has been changed",
            "have changed your",
            "i've changed",
            "has been modified",
            "has been upgraded",
            "ha sido actualizad",
            "he actualizado",
            "ha sido modificad",
            "he modificado",
            "ha sido cambiad",
            "wurde geändert",
            "wurde aktualisiert",
            "a été modifié",
            "foi atualizad",
            "foi alterad",
        ],
    },
    Deed {
        tools: &[
            "create",
            "register",
            "enroll",
            "enrol",
            "open",
            "submit",
            "issue",
            "crear",
            "registrar",
            "matricular",
            "inscribir",
            "generar",
            "enrollment",
            "ticket",
        ],
        done: &[
            "has been created",
            "have created",
            "i've created",
            "has been registered",
            "have registered",
            "i've registered",
            "has been submitted",
            "have submitted",
            "i've submitted",
            "have enrolled you",
            "ha sido cread",
            "he creado",
            "ha sido registrad",
            "he registrado",
            "has quedado matriculad",
            "ha sido matriculad",
            "wurde erstellt",
            "a été créé",
            "foi criad",
            "foi registrad",
        ],
    },
    Deed {
        tools: &["send", "mail", "email", "notify", "sms", "enviar", "senden", "envoyer", "message"],
        done: &["has been sent", "have sent", "i've sent", "ha sido enviad", "he enviado", "wurde gesendet", "a été envoyé", "foi enviad"],
    },
];

/// Words of names of tools that change something, beside those of [`DEEDS`].
const CHANGES: [&str; 40] = [
    "delete",
    "remove",
    "transfer",
    "pay",
    "charge",
    "assign",
    "schedule",
    "reschedule",
    "downgrade",
    "apply",
    "activate",
    "deactivate",
    "suspend",
    "resume",
    "enable",
    "disable",
    "toggle",
    "reboot",
    "reset",
    "approve",
    "reject",
    "close",
    "post",
    "put",
    "insert",
    "write",
    "save",
    "record",
    "make",
    "sell",
    "confirm",
    "process",
    "grant",
    "revoke",
    "eliminar",
    "pagar",
    "procesar",
    "confirmar",
    "asignar",
    "programar",
];

/// First words of names of tools that only look.
const LOOKS: [&str; 24] = [
    "get",
    "find",
    "list",
    "search",
    "read",
    "check",
    "show",
    "look",
    "lookup",
    "fetch",
    "query",
    "calculate",
    "think",
    "verify",
    "validate",
    "describe",
    "is",
    "can",
    "obtener",
    "buscar",
    "listar",
    "consultar",
    "verificar",
    "calcular",
];

/// Whether a tool changes something: one of these, or, if none are named, by the words of its name. Handing over to a person
/// changes nothing.
pub(super) fn changes(tool: &str, named: &[String]) -> bool {
    if !named.is_empty() {
        return named.iter().any(|name| *name == tool.to_lowercase());
    }
    let words: Vec<String> = words(tool).collect();
    let looks = words.first().is_some_and(|first| LOOKS.contains(&first.as_str()));
    let changes = |word: &String| CHANGES.contains(&word.as_str()) || DEEDS.iter().any(|deed| deed.tools.contains(&word.as_str()));
    !looks && !calls_a_person(tool) && words.iter().any(changes)
}

/// What a reply claims to be done: the phrase and the place of its deed. Questions claim nothing.
pub(super) fn claim(reply: &str) -> Option<(usize, &'static str)> {
    let reply = reply.to_lowercase().replace('’', "'");
    let sentences = reply.split_inclusive(['.', '!', '?', '\n']).filter(|sentence| !sentence.trim_end().ends_with('?'));
    let doubtful = ["if ", "once ", "when ", "after ", "not ", "unless ", "si ", "cuando ", "wenn ", "no "];
    sentences.filter(|sentence| !doubtful.iter().any(|word| sentence.contains(word))).find_map(|sentence| {
        DEEDS
            .iter()
            .enumerate()
            .find_map(|(place, deed)| deed.done.iter().find(|phrase| sentence.contains(**phrase)).map(|phrase| (place, *phrase)))
    })
}

/// Whether a tool is one for a deed.
pub(super) fn does(tool: &str, deed: usize) -> bool {
    words(tool).any(|word| DEEDS[deed].tools.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_that_change_something_are_known_by_their_names() {
        for (tool, changing) in [
            ("cancel_order", true),
            ("updateAddress", true),
            ("book_reservation", true),
            ("send_certificate", true),
            ("crear_reserva", true),
            ("get_order_details", false),
            ("search_direct_flight", false),
            ("transfer_to_human_agents", false),
            ("transfer_money", true),
            ("think", false),
            ("weather", false),
        ] {
            assert_eq!(changes(tool, &[]), changing, "{tool}");
        }
        assert!(changes("Weather", &["weather".to_owned()]) && !changes("cancel_order", &["weather".to_owned()]));
    }

    #[test]
    fn only_what_is_said_to_be_done_is_claimed() {
        for (reply, claimed) in [
            ("Your order has been cancelled.", true),
            ("Tu pedido ha sido cancelado.", true),
            ("I’ve booked the flight.", true),
            ("Has it been cancelled? Your order has been cancelled?", false),
            ("Once it has been cancelled you get a mail.", false),
            ("It has not been cancelled.", false),
            ("It can be cancelled.", false),
        ] {
            assert_eq!(claim(reply).is_some(), claimed, "{reply}");
        }
        let (deed, _) = claim("The booking has been cancelled.").expect("a claim");
        assert!(does("cancel_reservation", deed) && !does("get_reservation", deed));
    }
}
