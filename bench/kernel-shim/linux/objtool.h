/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's AES files need of its <linux/objtool.h>: nobody checks the object here. */

#define ANNOTATE_NOENDBR
