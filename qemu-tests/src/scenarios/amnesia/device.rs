// SPDX-License-Identifier: GPL-2.0

//! The calls of the device that are about wrapped handles.

use ::amnesia::reference::{self, UnwrapError};
use ::amnesia::wrapped::{Kind, Wrapped, SIZE};
use anyhow::{ensure, Context, Result};
use rustix::io::Errno;
use tresor::reference::Sha256;
use tresor::uapi::{self, wrap};
use zeroize::Zeroizing;

use crate::enrollment::random;
use crate::guest::Guest;
use crate::scenarios::lab::Lab;

/// Each of the calls once, well-formed.
pub(super) fn calls(key: &[u8; 64]) -> Result<[(u32, Vec<u8>); 3]> {
    let kind = Kind::XtsAes256 as u8;
    let handle = reference::fresh(&random()?, Kind::XtsAes256, random()?, &random()?);
    let handle = handle.encode::<Sha256>();
    Ok([
        (uapi::WRAP_FRESH, wrap::fresh_question(kind).to_vec()),
        (uapi::WRAP_KEY, wrap::key_question(kind, key).to_vec()),
        (uapi::VERIFY, wrap::verify_question(&handle).to_vec()),
    ])
}

/// A handle of a fresh key from the device. That it is right is for [`unwrap`] to say.
pub(super) fn fresh(guest: &mut Guest, kind: Kind) -> Result<[u8; SIZE]> {
    let question = wrap::fresh_question(kind as u8);
    let (errno, answer) = guest.call_device(uapi::WRAP_FRESH, &question)?;
    ensure!(errno == 0, "no fresh key: error {errno}");
    Ok(wrap::handle_of_fresh(
        answer.as_slice().try_into().context("another size")?,
    ))
}

/// A handle of this key from the device.
pub(super) fn wrap(guest: &mut Guest, kind: Kind, key: &[u8]) -> Result<[u8; SIZE]> {
    // What is behind the key must not matter.
    let mut padded = [0xa5; wrap::KEY];
    padded[..key.len()].copy_from_slice(key);
    let question = wrap::key_question(kind as u8, &padded);
    let (errno, answer) = guest.call_device(uapi::WRAP_KEY, &question)?;
    ensure!(errno == 0, "{kind}: no handle: error {errno}");
    Ok(wrap::handle_of_key(
        answer.as_slice().try_into().context("another size")?,
    ))
}

/// What the oracle makes of a handle.
pub(in super::super) fn unwrap(lab: &Lab<'_>, handle: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let wrapped = Wrapped::parse::<Sha256>(handle)?;
    ensure!(
        reference::unwrap(&random()?, &wrapped) == Err(UnwrapError::OtherSecret),
        "any S unwraps it"
    );
    Ok(reference::unwrap(lab.enrollment.s(), &wrapped)?)
}

/// What the device says to a handle.
pub(super) fn expect_errno(
    guest: &mut Guest,
    handle: &[u8; SIZE],
    expected: Option<Errno>,
) -> Result<()> {
    let (errno, _) = guest.call_device(uapi::VERIFY, &wrap::verify_question(handle))?;
    let expected = expected.map_or(0, Errno::raw_os_error);
    ensure!(
        errno == expected,
        "the device said {errno} instead of {expected}"
    );
    Ok(())
}

pub(super) fn status(guest: &mut Guest) -> Result<uapi::Status> {
    let (errno, answer) = guest.call_device(uapi::STATUS, &uapi::Status::question())?;
    ensure!(errno == 0, "no status: error {errno}");
    let answer = answer.as_slice().try_into().context("another size")?;
    uapi::Status::decode(answer).ok().context("another version")
}
