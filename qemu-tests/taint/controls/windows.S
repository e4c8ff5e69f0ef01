/* SPDX-License-Identifier: GPL-2.0 */
/* The windows as the kernel has them, for the controls in engines.S to call. */

#include "home.S"
#include "window-dr.S"
#include "window-msr.S"
