/*
 * The attempts of a hostile library. The tests of the worker request them one by
 * one, and expect the kernel to refuse them.
 *
 * Each attempt returns 0 after success, else the errno. A successful attempt is
 * harmless: it sends signal 0, and a child process exits immediately.
 */
#ifndef YUNDUO_STANDIN_HOSTILE_H
#define YUNDUO_STANDIN_HOSTILE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The numbers are equal on x86_64 and arm64. Older headers lack them. */
enum {
	NR_pidfd_open = 434,
	NR_clone3 = 435,
	NR_io_uring_setup = 425,
};

static int result(long r) { return r < 0 ? errno : 0; }

/* Ends the child process, and waits for it in the parent. */
static int created(long pid)
{
	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return errno;
	waitpid((pid_t)pid, NULL, 0);
	return 0;
}

static int try_execve(void)
{
	char *argv[] = {"/bin/true", NULL}, *envp[] = {NULL};
	return result(execve(argv[0], argv, envp));
}

static int try_execveat(void)
{
	char *argv[] = {"/bin/true", NULL}, *envp[] = {NULL};
	return result(syscall(SYS_execveat, AT_FDCWD, argv[0], argv, envp, 0));
}

#ifdef SYS_fork
static int try_fork(void) { return created(syscall(SYS_fork)); }
#else
static int try_fork(void) { return created(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }
#endif

static int try_vfork(void)
{
	/* Without CLONE_VM the child has its own memory. */
	return created(syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0));
}

static int try_clone(void) { return created(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }

static int try_clone3(void)
{
	uint64_t args[8] = {[4] = SIGCHLD}; /* struct clone_args of the first version */
	return created(syscall(NR_clone3, args, sizeof args));
}

static void *nothing(void *arg) { return arg; }

static int try_thread(void)
{
	pthread_t t;
	int code = pthread_create(&t, NULL, nothing, NULL);
	return code ? code : pthread_join(t, NULL);
}

static int try_kill_parent(void) { return result(kill(getppid(), 0)); }
static int try_kill_group(void) { return result(kill(0, 0)); }
static int try_kill_all(void) { return result(kill(-1, 0)); }
static int try_kill_self(void) { return result(kill(getpid(), 0)); }
static int try_tkill_parent(void) { return result(syscall(SYS_tkill, getppid(), 0)); }
static int try_tgkill_parent(void) { return result(syscall(SYS_tgkill, getppid(), getppid(), 0)); }
static int try_tgkill_self(void) { return result(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0)); }

static int try_sigqueue_parent(void)
{
	siginfo_t info = {0};
	info.si_code = SI_QUEUE;
	return result(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info));
}

static int try_pidfd_parent(void)
{
	long fd = syscall(NR_pidfd_open, getppid(), 0);
	if (fd >= 0)
		close((int)fd);
	return result(fd);
}

/* The kernel sends SIGIO to the owner of a descriptor: to any process. */
static int try_fcntl_owner(void)
{
	int pair[2], code;
	if (pipe(pair))
		return errno;
	code = result(fcntl(pair[0], F_SETOWN, getppid()));
	close(pair[0]);
	close(pair[1]);
	return code;
}

static int try_ptrace_parent(void) { return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)); }
static int try_ptrace_me(void) { return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL)); }

static int try_read_parent(void)
{
	char b[8];
	struct iovec here = {b, sizeof b}, there = {(void *)0x1000, sizeof b};
	return result(process_vm_readv(getppid(), &here, 1, &there, 1, 0));
}

static int try_read_self(void)
{
	char from[8] = {1}, to[8];
	struct iovec here = {to, sizeof to}, there = {from, sizeof from};
	return result(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
}

static int try_write_self(void)
{
	char from[8] = {1}, to[8];
	struct iovec here = {from, sizeof from}, there = {to, sizeof to};
	return result(process_vm_writev(getpid(), &here, 1, &there, 1, 0));
}

static int try_environ_parent(void)
{
	char name[64], b[16];
	snprintf(name, sizeof name, "/proc/%d/environ", (int)getppid());
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int code = result(read(fd, b, sizeof b));
	close(fd);
	return code;
}

static int try_limit_parent(void)
{
	struct rlimit l;
	return result(prlimit(getppid(), RLIMIT_CORE, NULL, &l));
}

static int try_nice_parent(void)
{
	return result(setpriority(PRIO_PROCESS, (id_t)getppid(), getpriority(PRIO_PROCESS, (id_t)getppid())));
}

static int try_affinity_parent(void)
{
	cpu_set_t set;
	if (sched_getaffinity(getppid(), sizeof set, &set))
		return errno;
	return result(sched_setaffinity(getppid(), sizeof set, &set));
}

static int try_dumpable(void) { return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }
static int try_outlive(void) { return result(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)); }
static int try_session(void) { return result(setsid()); }
static int try_process_group(void) { return result(setpgid(0, 0)); }
static int try_mount(void) { return result(mount("none", "/tmp", "tmpfs", 0, NULL)); }
static int try_umount(void) { return result(umount2("/nowhere", 0)); }
static int try_chroot(void) { return result(chroot("/")); }
static int try_unshare(void) { return result(unshare(CLONE_NEWUSER)); }
static int try_setns(void) { return result(setns(-1, 0)); }

static int try_bpf(void)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	return result(syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof a));
}

static int try_keyctl(void) { return result(syscall(SYS_keyctl, 0, -3 /* the session's keyring */, 1)); }

static int try_add_key(void) { return result(syscall(SYS_add_key, "user", "standin", "x", 1, -1 /* of the thread */)); }

static int try_io_uring(void)
{
	char params[120] = {0};
	return result(syscall(NR_io_uring_setup, 1, params));
}

static int try_perf(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .size = sizeof a, .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1};
	return result(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
}

static int try_userfaultfd(void) { return result(syscall(SYS_userfaultfd, 1 /* user mode only */)); }

#ifdef __x86_64__
/* A system call of the x32 interface has another number, which a filter could
 * miss. */
static int try_x32(void) { return result(syscall(0x40000000L | SYS_getpid)); }

/* Calls getpid by the interrupt of 32-bit programs. */
static int try_int80(void)
{
	long r = 20;
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	return r < 0 ? (int)-r : 0;
}
#endif

static int try_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		close(fd);
	return result(fd);
}

static int try_socketpair(void)
{
	int pair[2], r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
	if (r == 0) {
		close(pair[0]);
		close(pair[1]);
	}
	return result(r);
}

/* A loader first writes memory, then executes it. */
static int try_executable_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return errno;
	int code = result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	munmap(p, 4096);
	return code;
}

/* Writes up to 64 MiB into a file of the working folder. */
static int try_large_file(void)
{
	static char block[1 << 20];
	int fd = open("large", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600), code = 0;
	if (fd < 0)
		return errno;
	for (int i = 0; i < 64 && !code; i++)
		code = result(write(fd, block, sizeof block));
	close(fd);
	unlink("large");
	return code;
}

static int try_small_file(void)
{
	int fd = open("small", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	int code = result(write(fd, "left behind", 11));
	close(fd);
	return code;
}

/* Succeeds if the working folder is empty, and is HOME and TMPDIR. */
static int try_own_folder(void)
{
	char here[4096];
	const char *home = getenv("HOME"), *tmp = getenv("TMPDIR");
	if (!getcwd(here, sizeof here))
		return errno;
	if (!home || !tmp || strcmp(home, here) || strcmp(tmp, here))
		return ENOTDIR;
	return rmdir(here) ? errno : mkdir(here, 0700) ? errno : chdir(here) ? errno : 0;
}

/* Opens up to 4096 descriptors. */
static int try_many_descriptors(void)
{
	int fds[4096], n = 0, code = 0;
	while (n < 4096 && !code) {
		fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		code = result(fds[n]);
		if (!code)
			n++;
	}
	while (n > 0)
		close(fds[--n]);
	return code;
}

/* Returns EEXIST if the process has a foreign descriptor. Above 4 the worker has
 * only the descriptors of Go's runtime (epoll, eventfd), which have no file
 * type. */
static int try_descriptors(void)
{
	struct stat s;
	for (int fd = 5; fd < 4096; fd++)
		if (!fstat(fd, &s) && (s.st_mode & S_IFMT))
			return EEXIST;
	return 0;
}

static int attempt(const char *name, size_t len)
{
	static const struct {
		const char *name;
		int (*f)(void);
	} all[] = {
		{"execve", try_execve},
		{"execveat", try_execveat},
		{"fork", try_fork},
		{"vfork", try_vfork},
		{"clone", try_clone},
		{"clone3", try_clone3},
		{"thread", try_thread},
		{"kill parent", try_kill_parent},
		{"kill group", try_kill_group},
		{"kill all", try_kill_all},
		{"kill self", try_kill_self},
		{"tkill parent", try_tkill_parent},
		{"tgkill parent", try_tgkill_parent},
		{"tgkill self", try_tgkill_self},
		{"sigqueue parent", try_sigqueue_parent},
		{"pidfd parent", try_pidfd_parent},
		{"fcntl owner", try_fcntl_owner},
		{"ptrace parent", try_ptrace_parent},
		{"ptrace me", try_ptrace_me},
		{"read parent", try_read_parent},
		{"read self", try_read_self},
		{"write self", try_write_self},
		{"environ of parent", try_environ_parent},
		{"limit parent", try_limit_parent},
		{"nice parent", try_nice_parent},
		{"affinity of parent", try_affinity_parent},
		{"dumpable", try_dumpable},
		{"outlive", try_outlive},
		{"session", try_session},
		{"process group", try_process_group},
		{"mount", try_mount},
		{"umount", try_umount},
		{"chroot", try_chroot},
		{"unshare", try_unshare},
		{"setns", try_setns},
		{"bpf", try_bpf},
		{"keyctl", try_keyctl},
		{"add_key", try_add_key},
		{"io_uring", try_io_uring},
		{"perf", try_perf},
		{"userfaultfd", try_userfaultfd},
#ifdef __x86_64__
		{"x32", try_x32},
		{"int80", try_int80},
#endif
		{"socket", try_socket},
		{"socketpair", try_socketpair},
		{"executable memory", try_executable_memory},
		{"large file", try_large_file},
		{"small file", try_small_file},
		{"own folder", try_own_folder},
		{"many descriptors", try_many_descriptors},
		{"descriptors", try_descriptors},
	};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (strlen(all[i].name) == len && !memcmp(all[i].name, name, len))
			return all[i].f();
	return EDOM; /* an unknown name; no attempt returns EDOM */
}

#endif
