// A preloaded library: from the FAIL_NTH write on, each write, sync, truncation, rename or making of a file whose path
// holds FAIL_PATH fails with FAIL_ERRNO; with FAIL_ONCE only that one. FAIL_COUNT names a file that has the number.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name, type) static type; if (!real) real = dlsym(RTLD_NEXT, name)

static long count, nth = -2;
static int code, once;
static const char *want;

static void read_environment(void) {
    if (nth != -2) return;
    const char *text = getenv("FAIL_NTH");
    code = getenv("FAIL_ERRNO") ? atoi(getenv("FAIL_ERRNO")) : ENOSPC;
    once = getenv("FAIL_ONCE") != NULL;
    want = getenv("FAIL_PATH");
    nth = text ? atol(text) : -1;
}

static void note(long number) {
    const char *path = getenv("FAIL_COUNT");
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", number);
    int fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
    if (fd < 0) return;
    syscall(SYS_write, fd, text, length);
    syscall(SYS_close, fd);
}

static int fails(const char *path) {
    read_environment();
    if (nth < 0 || !want || !strstr(path, want)) return 0;
    long number = __sync_add_and_fetch(&count, 1);
    note(number);
    return once ? number == nth : number >= nth;
}

static int fd_fails(int fd) {
    read_environment();
    if (nth < 0 || fd < 3) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return fails(path);
}

#define REFUSE(when) if (when) { errno = code; return -1; }

ssize_t write(int fd, const void *data, size_t size) {
    REAL("write", ssize_t (*real)(int, const void *, size_t));
    REFUSE(fd_fails(fd))
    return real(fd, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL("pwrite64", ssize_t (*real)(int, const void *, size_t, off64_t));
    REFUSE(fd_fails(fd))
    return real(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

int fsync(int fd) {
    REAL("fsync", int (*real)(int));
    REFUSE(fd_fails(fd))
    return real(fd);
}

int fdatasync(int fd) {
    REAL("fdatasync", int (*real)(int));
    REFUSE(fd_fails(fd))
    return real(fd);
}

int ftruncate64(int fd, off64_t size) {
    REAL("ftruncate64", int (*real)(int, off64_t));
    REFUSE(fd_fails(fd))
    return real(fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int open64(const char *path, int flags, ...) {
    REAL("open64", int (*real)(const char *, int, ...));
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
        REFUSE(fails(path))
    }
    return real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return open64(path, flags, mode);
}

int rename(const char *from, const char *to) {
    REAL("rename", int (*real)(const char *, const char *));
    REFUSE(fails(from))
    return real(from, to);
}

int link(const char *from, const char *to) {
    REAL("link", int (*real)(const char *, const char *));
    REFUSE(fails(from))
    return real(from, to);
}
