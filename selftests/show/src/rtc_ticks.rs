// SPDX-License-Identifier: GPL-2.0

//! `rtc-ticks COUNT`: waits for COUNT update interrupts of `/dev/rtc0`, one a second.
//!
//! The kernel makes them with the alarm of the RTC, so each of them is an interrupt of its line.

use std::{
    env,
    fs::File,
    io::{
        self,
        Read, //
    },
    os::fd::AsRawFd,
    process::ExitCode, //
};

/// `_IO('p', 0x03)` and `_IO('p', 0x04)` of `linux/rtc.h`: update interrupts on and off.
const RTC_UIE_ON: libc::c_ulong = 0x7003;
const RTC_UIE_OFF: libc::c_ulong = 0x7004;

fn request(rtc: &File, request: libc::c_ulong) -> io::Result<()> {
    // SAFETY: Both requests take no argument, and the descriptor is open.
    let ret = unsafe { libc::ioctl(rtc.as_raw_fd(), request as _) };

    if ret < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn ticks(count: u32) -> io::Result<()> {
    let mut rtc = File::open("/dev/rtc0")?;

    request(&rtc, RTC_UIE_ON)?;
    for _ in 0..count {
        let mut data = [0; 8];

        rtc.read_exact(&mut data)?;
    }
    request(&rtc, RTC_UIE_OFF)
}

fn main() -> ExitCode {
    let count = env::args().nth(1).and_then(|a| a.parse().ok());

    match count.map(ticks) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(e)) => {
            eprintln!("rtc-ticks: {e}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("usage: rtc-ticks COUNT");
            ExitCode::FAILURE
        }
    }
}
