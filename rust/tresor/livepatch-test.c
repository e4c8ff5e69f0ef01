// SPDX-License-Identifier: GPL-2.0
/*
 * A live patch of one function of the kernel, which does nothing and returns 0 then. Test only:
 * the kernel must refuse this for every function that has something secret in registers.
 */

#include <linux/livepatch.h>
#include <linux/module.h>

static char *function;
module_param(function, charp, 0);
MODULE_PARM_DESC(function, "the name of the function that is patched");

static unsigned long do_nothing(void)
{
	return 0;
}

static struct klp_func functions[] = {
	{ .new_func = do_nothing },
	{ }
};

static struct klp_object objects[] = {
	/* No name: vmlinux. */
	{ .funcs = functions },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static int __init livepatch_test_init(void)
{
	if (!function)
		return -EINVAL;
	functions[0].old_name = function;
	return klp_enable_patch(&patch);
}

/* Has to be there, or the module could not be unloaded after the patch was disabled. */
static void __exit livepatch_test_exit(void)
{
}

module_init(livepatch_test_init);
module_exit(livepatch_test_exit);
MODULE_DESCRIPTION("Test: live patches a function by name");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
