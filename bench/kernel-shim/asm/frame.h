/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's AES files need of its <asm/frame.h>: as with CONFIG_FRAME_POINTER off, which is the default. */

#define FRAME_BEGIN
#define FRAME_END
#define FRAME_OFFSET	0
