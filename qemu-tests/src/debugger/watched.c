// SPDX-License-Identifier: GPL-2.0

/* A program for a debugger, which watches a variable: first others change, then it does. */

volatile int others, watched;

static void work(void)
{
	for (int i = 0; i < 20; i++)
		others++;
	watched = 4711;
}

int main(void)
{
	work();
	return 0;
}
