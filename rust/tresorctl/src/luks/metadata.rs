// SPDX-License-Identifier: GPL-2.0
//! The JSON text of a LUKS2 header: what this program must know of it, and the one change it makes.
//!
//! Source: "LUKS2 On-Disk Format Specification" 1.1.2, section 3. Numbers of 64 bits are strings
//! there. Everything that is not changed is kept as it is.

use std::ops::Range;

use anyhow::{bail, ensure, Context};
use base64::prelude::{Engine as _, BASE64_STANDARD};
use serde_json::{json, Value};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

/// The type of the token that holds slots.
const SLOTS_TOKEN: &str = "tresor-slots";
/// Bytes of the binary header before the text.
const BINARY: u64 = 4096;

/// The metadata of a volume.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metadata {
    json: Value,
}

/// The part of the disk that has the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where it begins, in bytes.
    pub(crate) offset: u64,
    /// Its bytes, or `None`: to the end of the disk.
    pub(crate) size: Option<u64>,
    /// The number of its first sector of 512 bytes.
    pub(crate) iv_tweak: u64,
    /// The cipher, as in `cryptsetup --cipher`.
    pub(crate) encryption: String,
    /// Bytes of a sector.
    pub(crate) sector_size: u64,
}

/// A keyslot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyslot {
    /// Its number.
    pub(crate) number: u32,
    /// Bytes of the key in it.
    pub(crate) key_bytes: u64,
    /// Where on the disk that key is, encrypted.
    pub(crate) area: Range<u64>,
    /// Whether its key is that of the data.
    pub(crate) of_data: bool,
}

impl Metadata {
    /// Reads the text of a header.
    ///
    /// # Errors
    ///
    /// If it is not a volume with one encrypted segment and nothing special about it.
    pub(crate) fn parse(text: &[u8]) -> anyhow::Result<Self> {
        let metadata = Self {
            json: serde_json::from_slice(text).context("the header's text is damaged")?,
        };
        if let Some(requirements) = metadata.json["config"].get("requirements") {
            bail!(
                "the header demands {requirements}: finish what is under way first \
                 (`cryptsetup reencrypt --resume-only`), or this cryptsetup feature is not supported here"
            );
        }
        let segment = metadata.segment()?;
        let area = metadata.keyslots_area()?;
        // With a detached header the data is on another disk, from its start on.
        ensure!(
            segment.offset == 0 || area.end <= segment.offset,
            "the keyslots reach into the data; the header is damaged"
        );
        let mut taken: Vec<Range<u64>> = Vec::new();
        for keyslot in metadata.keyslots()? {
            let range = keyslot.area;
            ensure!(
                range.start < range.end && area.start <= range.start && range.end <= area.end,
                "keyslot {} is outside of the place for keyslots; the header is damaged",
                keyslot.number
            );
            ensure!(
                !taken.iter().any(|other| overlap(other, &range)),
                "keyslot {} overlaps another one; the header is damaged",
                keyslot.number
            );
            taken.push(range);
        }
        Ok(metadata)
    }

    /// The text.
    pub(crate) fn text(&self) -> anyhow::Result<Vec<u8>> {
        Ok(serde_json::to_vec(&self.json)?)
    }

    /// The data.
    pub(crate) fn segment(&self) -> anyhow::Result<Segment> {
        let segments = self.object("segments")?;
        let segment = match segments.get("0") {
            Some(segment) if segments.len() == 1 => segment,
            _ => bail!(
                "the volume has {} segments; only one is supported (is a re-encryption under way?)",
                segments.len()
            ),
        };
        ensure!(
            segment["type"] == "crypt",
            "the volume's data has the type {} and not \"crypt\"",
            segment["type"]
        );
        for extra in ["integrity", "flags"] {
            ensure!(
                segment.get(extra).is_none(),
                "the volume's data has \"{extra}\", which is not supported here"
            );
        }
        let size = match segment["size"].as_str() {
            Some("dynamic") => None,
            _ => Some(number(segment, "size")?),
        };
        Ok(Segment {
            offset: number(segment, "offset")?,
            size,
            iv_tweak: number(segment, "iv_tweak")?,
            encryption: text_of(segment, "encryption")?.to_owned(),
            sector_size: segment["sector_size"]
                .as_u64()
                .context("the header has no sector size")?,
        })
    }

    /// All keyslots.
    pub(crate) fn keyslots(&self) -> anyhow::Result<Vec<Keyslot>> {
        let (_, of_data) = self.digest_of_data()?;
        let mut keyslots = Vec::new();
        for (name, keyslot) in self.object("keyslots")? {
            let start = number(&keyslot["area"], "offset")?;
            let size = number(&keyslot["area"], "size")?;
            keyslots.push(Keyslot {
                number: name
                    .parse()
                    .with_context(|| format!("\"{name}\" is no number of a keyslot"))?,
                key_bytes: keyslot["key_size"].as_u64().unwrap_or(0),
                area: start..start.checked_add(size).context("a keyslot is too long")?,
                of_data: names(of_data, "keyslots").any(|other| other == name),
            });
        }
        keyslots.sort_by_key(|keyslot| keyslot.number);
        Ok(keyslots)
    }

    /// The types of the tokens that belong to keyslots.
    pub(crate) fn tokens_of_keyslots(&self) -> Vec<String> {
        let tokens = self.json["tokens"].as_object();
        tokens
            .into_iter()
            .flatten()
            .filter(|(_, token)| names(token, "keyslots").next().is_some())
            .filter_map(|(_, token)| token["type"].as_str().map(str::to_owned))
            .collect()
    }

    /// The numbers of the tokens that hold slots, and the texts of all slots in them.
    pub(crate) fn stored_slots(&self) -> (Vec<String>, Vec<String>) {
        let tokens = self.json["tokens"].as_object().into_iter().flatten();
        let (mut numbers, mut slots) = (Vec::new(), Vec::new());
        for (number, token) in tokens.filter(|(_, token)| token["type"] == SLOTS_TOKEN) {
            numbers.push(number.clone());
            slots.extend(names(token, "slots").map(str::to_owned));
        }
        (numbers, slots)
    }

    /// The bytes of the disk for keyslots.
    pub(crate) fn keyslots_area(&self) -> anyhow::Result<Range<u64>> {
        let config = &self.json["config"];
        // Two copies of the header are before it.
        let start = number(config, "json_size")?
            .checked_add(BINARY)
            .and_then(|copy| copy.checked_mul(2));
        let size = number(config, "keyslots_size")?;
        start
            .and_then(|start| Some(start..start.checked_add(size)?))
            .context("the place for keyslots is too large")
    }

    /// Those of them that no keyslot has.
    pub(crate) fn free_areas(&self) -> anyhow::Result<Vec<Range<u64>>> {
        let whole = self.keyslots_area()?;
        let mut taken: Vec<_> = self.keyslots()?.into_iter().map(|slot| slot.area).collect();
        taken.sort_by_key(|area| area.start);
        let ends = taken
            .iter()
            .map(|area| area.end)
            .scan(whole.start, |reached, end| {
                Some(std::mem::replace(reached, end.max(*reached)))
            });
        let mut free: Vec<_> = ends
            .zip(&taken)
            .map(|(from, next)| from..next.start)
            .collect();
        free.push(taken.last().map_or(whole.start, |area| area.end)..whole.end);
        free.retain(|area| area.start < area.end);
        Ok(free)
    }

    /// A number that no keyslot has.
    pub(crate) fn free_number(&self) -> anyhow::Result<u32> {
        let keyslots = self.keyslots()?;
        (0..32)
            .find(|number| !keyslots.iter().any(|slot| slot.number == *number))
            .context("all 32 keyslots are in use: remove one with `cryptsetup luksKillSlot`")
    }

    /// Whether `key` is the volume's key, by the header's digest.
    pub(crate) fn is_volume_key(&self, key: &[u8]) -> anyhow::Result<bool> {
        let (_, digest) = self.digest_of_data()?;
        ensure!(
            digest["type"] == "pbkdf2",
            "the digest has the unknown type {}",
            digest["type"]
        );
        let expected = bytes(digest, "digest")?;
        let salt = bytes(digest, "salt")?;
        let iterations = digest["iterations"]
            .as_u64()
            .and_then(|iterations| u32::try_from(iterations).ok())
            .context("the digest has no iterations")?;
        let mut computed = Zeroizing::new(vec![0; expected.len()]);
        match text_of(digest, "hash")? {
            "sha256" => pbkdf2::pbkdf2_hmac::<Sha256>(key, &salt, iterations, &mut computed),
            "sha512" => pbkdf2::pbkdf2_hmac::<Sha512>(key, &salt, iterations, &mut computed),
            other => {
                bail!("the header's digest uses {other}; only sha256 and sha512 are supported")
            }
        }
        Ok(!expected.is_empty() && *computed == expected)
    }

    /// The same with the key in `keyslot` as that of the data, and `encryption` as its cipher.
    ///
    /// The keyslots of the old key are left, without data that they are for.
    pub(crate) fn with_key_of(&self, keyslot: u32, encryption: &str) -> anyhow::Result<Self> {
        let (old, _) = self.digest_of_data()?;
        let old = old.to_owned();
        let keyslot = keyslot.to_string();
        let mut metadata = self.clone();
        let digests = metadata.json["digests"]
            .as_object_mut()
            .context("no digests")?;
        let new = digests
            .iter_mut()
            .find(|(_, digest)| names(digest, "keyslots").any(|name| name == keyslot));
        let (name, digest) = new.with_context(|| format!("keyslot {keyslot} has no digest"))?;
        ensure!(*name != old, "keyslot {keyslot} has the old key");
        digest["segments"] = json!(["0"]);
        digests[&old]["segments"] = json!([]);
        metadata.json["segments"]["0"]["encryption"] = json!(encryption);
        // Checks the result as any other header.
        Self::parse(&metadata.text()?)
    }

    /// The name and the digest of the data's key.
    fn digest_of_data(&self) -> anyhow::Result<(&str, &Value)> {
        self.object("digests")?
            .iter()
            .find(|(_, digest)| names(digest, "segments").any(|name| name == "0"))
            .map(|(name, digest)| (name.as_str(), digest))
            .context("the header has no digest of the volume's key")
    }

    fn object(&self, name: &str) -> anyhow::Result<&serde_json::Map<String, Value>> {
        self.json[name]
            .as_object()
            .with_context(|| format!("the header has no \"{name}\""))
    }
}

/// The JSON text of a token with these slots. It belongs to no keyslot, so that none takes it along.
pub(crate) fn slots_token(slots: &[String]) -> String {
    json!({"type": SLOTS_TOKEN, "keyslots": [], "slots": slots}).to_string()
}

/// Whether two parts of a disk have a byte in common.
pub(crate) fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

fn number(of: &Value, name: &str) -> anyhow::Result<u64> {
    text_of(of, name)?
        .parse()
        .with_context(|| format!("\"{name}\" in the header is no number"))
}

fn text_of<'a>(of: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    of[name]
        .as_str()
        .with_context(|| format!("the header has no \"{name}\""))
}

fn bytes(of: &Value, name: &str) -> anyhow::Result<Vec<u8>> {
    BASE64_STANDARD
        .decode(text_of(of, name)?)
        .with_context(|| format!("\"{name}\" in the header is not base64"))
}

fn names<'a>(of: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    let list = of[list].as_array().into_iter().flatten();
    list.filter_map(Value::as_str)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As cryptsetup writes it; keyslot 1 is not that of the data.
    pub(in crate::luks) fn volume() -> Value {
        let keyslot = |offset: &str, key_bytes: u64| {
            json!({"type": "luks2", "key_size": key_bytes,
                   "area": {"type": "raw", "offset": offset, "size": "1000"}})
        };
        // PBKDF2-HMAC-SHA256("password", "salt", 2), a published value.
        let digest = "rk0Mla9rRtMtCt/5KPBt0CowP47zwlHf1uLYWpVHTEM=";
        json!({
            "keyslots": {"0": keyslot("32768", 64), "1": keyslot("34000", 128)},
            "tokens": {"0": {"type": "systemd-tpm2", "keyslots": ["0"]}},
            "segments": {"0": {"type": "crypt", "offset": "65536", "size": "dynamic", "iv_tweak": "0",
                               "encryption": "aes-xts-plain64", "sector_size": 4096}},
            "digests": {
                "0": {"type": "pbkdf2", "keyslots": ["0"], "segments": ["0"], "hash": "sha256",
                      "iterations": 2, "salt": "c2FsdA==", "digest": digest},
                "1": {"type": "pbkdf2", "keyslots": ["1"], "segments": [], "hash": "sha256",
                      "iterations": 2, "salt": "c2FsdA==", "digest": digest}},
            "config": {"json_size": "12288", "keyslots_size": "32768", "flags": ["allow-discards"]}
        })
    }

    fn parse(json: &Value) -> anyhow::Result<Metadata> {
        Metadata::parse(json.to_string().as_bytes())
    }

    fn refused(change: impl FnOnce(&mut Value), message: &str) {
        let mut json = volume();
        change(&mut json);
        let error = format!("{:#}", parse(&json).unwrap_err());
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn what_is_read() {
        let metadata = parse(&volume()).unwrap();
        let segment = metadata.segment().unwrap();
        assert_eq!(
            (
                segment.offset,
                segment.size,
                segment.iv_tweak,
                segment.sector_size
            ),
            (65536, None, 0, 4096)
        );
        assert_eq!(segment.encryption, "aes-xts-plain64");
        let keyslots = metadata.keyslots().unwrap();
        assert_eq!(keyslots[0].area, 32768..33768);
        assert_eq!((keyslots[0].of_data, keyslots[1].of_data), (true, false));
        assert_eq!(metadata.free_areas().unwrap(), [33768..34000, 35000..65536]);
        assert_eq!(metadata.free_number().unwrap(), 2);
        assert_eq!(metadata.tokens_of_keyslots(), ["systemd-tpm2"]);
    }

    #[test]
    fn slots_of_all_tokens_are_read() {
        let mut json = volume();
        let slots = |slots: &[&str]| {
            let slots: Vec<_> = slots.iter().map(|&slot| slot.to_owned()).collect();
            serde_json::from_str::<Value>(&slots_token(&slots)).unwrap()
        };
        json["tokens"]["3"] = slots(&["a", "b"]);
        json["tokens"]["7"] = slots(&["c"]);
        let (numbers, texts) = parse(&json).unwrap().stored_slots();
        assert_eq!(numbers, ["3", "7"]);
        assert_eq!(texts, ["a", "b", "c"]);
    }

    #[test]
    fn the_digest_tells_the_key() {
        let metadata = parse(&volume()).unwrap();
        assert!(metadata.is_volume_key(b"password").unwrap());
        assert!(!metadata.is_volume_key(b"passwore").unwrap());
    }

    #[test]
    fn the_key_is_changed_and_nothing_else() {
        let metadata = parse(&volume()).unwrap();
        let changed = metadata.with_key_of(1, "paes-xts-plain64").unwrap();
        let mut expected = volume();
        expected["segments"]["0"]["encryption"] = json!("paes-xts-plain64");
        expected["digests"]["0"]["segments"] = json!([]);
        expected["digests"]["1"]["segments"] = json!(["0"]);
        assert_eq!(changed.json, expected);
        assert!(metadata.with_key_of(0, "x").is_err());
        assert!(metadata.with_key_of(7, "x").is_err());
    }

    #[test]
    fn what_is_special_is_refused() {
        refused(
            |json| json["config"]["requirements"] = json!({"mandatory": ["online-reencrypt-v2"]}),
            "reencrypt",
        );
        refused(
            |json| json["segments"]["0"]["integrity"] = json!({"type": "hmac"}),
            "integrity",
        );
        refused(|json| json["segments"]["1"] = json!({}), "2 segments");
        refused(
            |json| json["segments"]["0"]["type"] = json!("linear"),
            "linear",
        );
        refused(
            |json| json["digests"]["0"]["segments"] = json!([]),
            "no digest",
        );
    }

    #[test]
    fn damaged_places_are_refused() {
        refused(
            |json| json["keyslots"]["1"]["area"]["offset"] = json!("33767"),
            "overlaps",
        );
        refused(
            |json| json["keyslots"]["1"]["area"]["offset"] = json!("32767"),
            "outside",
        );
        refused(
            |json| json["keyslots"]["1"]["area"]["size"] = json!("18446744073709551615"),
            "too long",
        );
        refused(
            |json| json["config"]["keyslots_size"] = json!("32769"),
            "into the data",
        );
        refused(
            |json| json["config"]["keyslots_size"] = json!("x"),
            "no number",
        );
    }

    #[test]
    fn text_of_any_kind_does_no_harm() {
        let text = volume().to_string();
        for end in 0..text.len() {
            assert!(Metadata::parse(&text.as_bytes()[..end]).is_err());
        }
        for text in ["null", "[]", "{}", "{\"config\":7}", "{\"segments\":[]}"] {
            assert!(Metadata::parse(text.as_bytes()).is_err());
        }
    }
}
