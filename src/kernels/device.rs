//! The choice between the processor and a card.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where a policy is trained and sampled from: "auto", "cpu" or "cuda:N".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The first card if there is one that this program can use, else the processor.
    #[default]
    Auto,
    Cpu,
    /// The card of this number, as `nvidia-smi` counts them.
    Cuda(usize),
}

impl DeviceChoice {
    /// The card of a rank that has this number among the ranks of its machine: ranks share cards where there are fewer.
    #[cfg(feature = "mpi")]
    pub fn card_of_rank(local_rank: usize) -> Result<DeviceChoice> {
        Ok(DeviceChoice::Cuda(local_rank % cards()?.max(1)))
    }

    /// The device that is meant. A card that is asked for and not there is an error.
    pub fn open(self) -> Result<Device> {
        match self {
            DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Auto => match cards() {
                Ok(1..) => card(0),
                _ => Ok(Device::Cpu),
            },
            DeviceChoice::Cuda(number) => match cards()? {
                count if number < count => card(number),
                count => {
                    let remedy = format!("{count} can be used, counted from 0; set run.device to one of them");
                    Err(Error::invalid("run.device", format!("{self}, and there is no such card"), remedy))
                }
            },
        }
    }
}

/// Bytes that tensors have taken at most on a card since the last reset; 0 for the processor.
pub fn peak_memory(device: &Device) -> Result<usize> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => Ok(super::cuda::nvidia::memory(device)?.peak),
        _ => Ok(0),
    }
}

/// Forgets the peak.
pub fn reset_peak_memory(device: &Device) -> Result<()> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => super::cuda::nvidia::reset_peak(device),
        _ => Ok(()),
    }
}

#[cfg(feature = "cuda")]
fn cards() -> Result<usize> {
    super::cuda::nvidia::cards()
}

#[cfg(feature = "cuda")]
fn card(number: usize) -> Result<Device> {
    Ok(Device::Cuda(super::cuda::nvidia::open(number)?))
}

#[cfg(not(feature = "cuda"))]
fn cards() -> Result<usize> {
    let found = "a card is asked for, and this program was built without CUDA";
    let remedy = "build it with `cargo build --release --features cuda`, or set run.device to \"cpu\"";
    Err(Error::invalid("run.device", found, remedy))
}

#[cfg(not(feature = "cuda"))]
fn card(_: usize) -> Result<Device> {
    Ok(Device::Cpu)
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<DeviceChoice, String> {
        let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match (text, number) {
            ("auto", _) => Ok(DeviceChoice::Auto),
            ("cpu", _) => Ok(DeviceChoice::Cpu),
            ("cuda", _) => Ok(DeviceChoice::Cuda(0)),
            (_, Some(number)) => Ok(DeviceChoice::Cuda(number)),
            _ => Err(format!("found {text:?}; allowed is \"auto\", \"cpu\" or \"cuda:N\"")),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<DeviceChoice, String> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> String {
        choice.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_as_they_are_written() {
        for (text, choice) in
            [("auto", DeviceChoice::Auto), ("cpu", DeviceChoice::Cpu), ("cuda:3", DeviceChoice::Cuda(3))]
        {
            assert_eq!(text.parse(), Ok(choice));
            assert_eq!(choice.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda:-1", ""] {
            assert!(wrong.parse::<DeviceChoice>().unwrap_err().contains("allowed is"), "{wrong}");
        }
        assert!(DeviceChoice::Cpu.open().unwrap().is_cpu());
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_card_without_the_feature_is_one_clear_line() {
        assert!(DeviceChoice::Auto.open().unwrap().is_cpu());
        let error = DeviceChoice::Cuda(0).open().unwrap_err().to_string();
        assert!(error.contains("built without CUDA; build it with `cargo build --release --features cuda`"), "{error}");
    }
}
