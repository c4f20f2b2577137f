/* Loaded before the C library: counts the calls by which a process changes the disk below a folder,
   and lets the n-th of them fail or end the process. Python's own calls and those of HDF5, netCDF,
   GDAL and libsndfile all go through here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static long calls, at;
static int action; /* 0: counts; 1: kills; else: this error */
static int fired, trace;
#define MOST 65536
static const char *names[MOST]; /* of the calls, from 1 */

void faults_arm(const char *below, long number, int what) {
    strncpy(folder, below, sizeof folder - 1);
    trace = getenv("SCIDDM_FAULTS_SHOW") != NULL;
    calls = 0, fired = 0, at = number, action = what;
}

long faults_calls(void) { return calls; }

const char *faults_name(long number) { return number < MOST && names[number] ? names[number] : ""; }

static char last[4096]; /* what the call is about, for the trace */

static int path_is_below(const char *path) {
    int below = folder[0] && path && strstr(path, folder);
    if (below && trace) snprintf(last, sizeof last, "%s", path);
    return below;
}

static int handle_is_below(int handle) {
    char link[64], name[4096];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t n = readlink(link, name, sizeof name - 1);
    if (n < 0) return 0;
    name[n] = 0;
    return path_is_below(name);
}

/* Whether this call fails. A full disk stays full for what needs space; any other fault is one. */
static int fails_in(const char *call, int below, int needs_space) {
    if (!below) return 0;
    calls++;
    if (calls < MOST) names[calls] = call;
    if (trace) dprintf(2, "call %ld: %s %s%s\n", calls, call, last, calls == at ? " <- fault" : "");
    if (calls == at && action == 1) kill(getpid(), SIGKILL);
    if (action > 1 && (calls == at || (fired && action == ENOSPC && needs_space))) {
        if (calls == at && action == ENOSPC && !needs_space) { fired = 1; return 0; }
        fired = 1;
        errno = action;
        return 1;
    }
    return 0;
}

#define fails(below, needs_space) fails_in(__func__, below, needs_space)

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int h, const void *b, size_t n) {
    return fails(handle_is_below(h), 1) ? -1 : REAL(write)(h, b, n);
}
ssize_t pwrite(int h, const void *b, size_t n, off_t o) {
    return fails(handle_is_below(h), 1) ? -1 : REAL(pwrite)(h, b, n, o);
}
ssize_t pwrite64(int h, const void *b, size_t n, off64_t o) {
    return fails(handle_is_below(h), 1) ? -1 : REAL(pwrite64)(h, b, n, o);
}
ssize_t writev(int h, const struct iovec *v, int n) {
    return fails(handle_is_below(h), 1) ? -1 : REAL(writev)(h, v, n);
}
int fsync(int h) { return fails(handle_is_below(h), 1) ? -1 : REAL(fsync)(h); }
int fdatasync(int h) { return fails(handle_is_below(h), 1) ? -1 : REAL(fdatasync)(h); }
int ftruncate(int h, off_t n) { return fails(handle_is_below(h), 1) ? -1 : REAL(ftruncate)(h, n); }
int ftruncate64(int h, off64_t n) {
    return fails(handle_is_below(h), 1) ? -1 : REAL(ftruncate64)(h, n);
}
int posix_fallocate(int h, off_t o, off_t n) {
    return fails(handle_is_below(h), 1) ? action : REAL(posix_fallocate)(h, o, n);
}
int posix_fallocate64(int h, off64_t o, off64_t n) {
    return fails(handle_is_below(h), 1) ? action : REAL(posix_fallocate64)(h, o, n);
}
int rename(const char *a, const char *b) {
    return fails(path_is_below(a) || path_is_below(b), 0) ? -1 : REAL(rename)(a, b);
}
int renameat(int f, const char *a, int g, const char *b) {
    return fails(path_is_below(a) || path_is_below(b), 0) ? -1 : REAL(renameat)(f, a, g, b);
}
int link(const char *a, const char *b) {
    return fails(path_is_below(b), 0) ? -1 : REAL(link)(a, b);
}
int linkat(int f, const char *a, int g, const char *b, int flags) {
    return fails(path_is_below(b), 0) ? -1 : REAL(linkat)(f, a, g, b, flags);
}
int unlink(const char *a) { return fails(path_is_below(a), 0) ? -1 : REAL(unlink)(a); }
int rmdir(const char *a) { return fails(path_is_below(a), 0) ? -1 : REAL(rmdir)(a); }
int unlinkat(int f, const char *a, int flags) {
    int below = path_is_below(a) || (f != AT_FDCWD && handle_is_below(f));
    return fails(below, 0) ? -1 : REAL(unlinkat)(f, a, flags);
}
int mkdir(const char *a, mode_t mode) {
    return fails(path_is_below(a), 1) ? -1 : REAL(mkdir)(a, mode);
}

static mode_t mode_of(int flags, va_list more) {
    return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(more, int) : 0;
}
#define WRITES(flags) ((flags) & (O_CREAT | O_TRUNC))
#define OPEN(name)                                                                               \
    int name(const char *a, int flags, ...) {                                                    \
        va_list more;                                                                            \
        va_start(more, flags);                                                                   \
        mode_t mode = mode_of(flags, more);                                                      \
        va_end(more);                                                                            \
        return fails(WRITES(flags) && path_is_below(a), 1) ? -1 : REAL(name)(a, flags, mode);    \
    }
OPEN(open)
OPEN(open64)
int openat(int f, const char *a, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return fails(WRITES(flags) && path_is_below(a), 1) ? -1 : REAL(openat)(f, a, flags, mode);
}
