// SPDX-License-Identifier: GPL-2.0
//! Instructions that an engine's class does not have.

use iced_x86::{CpuidFeature, InstructionInfoFactory};
use taint::Function;

use crate::policies::Policy;

/// Instructions on general registers that every x86-64 CPU has (endbr64 and long no-operations do
/// nothing on older ones).
const GENERAL: [CpuidFeature; 8] = [
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::X64,
    CpuidFeature::CMOV,
    CpuidFeature::CET_IBT,
    CpuidFeature::MULTIBYTENOP,
];

/// The instructions of `function` that are of another instruction set than its class has, or encoded
/// otherwise.
pub(crate) fn foreign(function: &Function, policy: &Policy) -> Vec<String> {
    let mut factory = InstructionInfoFactory::new();
    let mut foreign = Vec::new();
    for instruction in function.instructions() {
        let features = instruction.cpuid_features();
        let known = |feature| GENERAL.contains(feature) || policy.features.contains(feature);
        let mut used = factory.info(&instruction).used_registers().iter();
        let on_vectors =
            used.any(|used| used.register().is_vector_register() || used.register().is_k());
        if instruction.is_invalid()
            || !features.iter().all(known)
            || on_vectors && !policy.encodings.contains(&instruction.encoding())
        {
            foreign.push(format!("{}: {instruction}", function.name));
        }
    }
    foreign
}
