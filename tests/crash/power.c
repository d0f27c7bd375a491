// A preloaded library: POWER_JOURNAL gets what stood where a store or a part of a file was written to, and each sync,
// so that everything since the last sync of a file can be undone: a power loss.
//
//     'W' length path offset size size-before bytes-before        'S' length path
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name, type) static type; if (!real) real = dlsym(RTLD_NEXT, name)

static int journal_fd = -2;

static ssize_t really_write(int fd, const void *data, size_t size) {
    REAL("write", ssize_t (*real)(int, const void *, size_t));
    return real(fd, data, size);
}

static int journal(void) {
    if (journal_fd == -2) {
        const char *path = getenv("POWER_JOURNAL");
        journal_fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    }
    return journal_fd;
}

static int ends(const char *path, const char *end) {
    size_t length = strlen(path), size = strlen(end);
    return length > size && !strcmp(path + length - size, end);
}

static int watched(int fd, char *path) {
    if (fd < 3 || fd == journal_fd || journal() < 0) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length <= 0) return 0;
    path[length] = 0;
    return ends(path, ".sqlite3") || ends(path, "-wal") || ends(path, ".part") || ends(path, ".part.json");
}

// The same descriptor where it can be read: closing a second one of a database would drop this process's locks on it.
static ssize_t before(int fd, const char *path, void *old, size_t size, off64_t at) {
    ssize_t got = pread64(fd, old, size, at);
    if (got >= 0 || ends(path, ".sqlite3")) return got < 0 ? 0 : got;
    int other = open(path, O_RDONLY | O_CLOEXEC);
    got = other < 0 ? 0 : pread64(other, old, size, at);
    if (other >= 0) close(other);
    return got < 0 ? 0 : got;
}

static void note_write(int fd, size_t size, off64_t at) {
    char path[4096];
    if (!watched(fd, path)) return;
    uint32_t length = strlen(path);
    char *record = malloc(1 + 4 + length + 24 + size), *next = record;
    uint64_t where = at, whole = size, got;
    *next++ = 'W';
    memcpy(next, &length, 4), next += 4;
    memcpy(next, path, length), next += length;
    got = before(fd, path, next + 24, size, at);
    memcpy(next, &where, 8), memcpy(next + 8, &whole, 8), memcpy(next + 16, &got, 8);
    really_write(journal_fd, record, next + 24 + got - record);
    free(record);
}

static int note_sync(int fd, int result) {
    char path[4096], record[4101];
    if (result || !watched(fd, path)) return result;
    uint32_t length = strlen(path);
    record[0] = 'S';
    memcpy(record + 1, &length, 4), memcpy(record + 5, path, length);
    really_write(journal_fd, record, 5 + length);
    return result;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL("pwrite64", ssize_t (*real)(int, const void *, size_t, off64_t));
    note_write(fd, size, at);
    return real(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t write(int fd, const void *data, size_t size) {
    off64_t at = fd > 2 && fd != journal_fd ? lseek64(fd, 0, SEEK_CUR) : -1;
    if (at >= 0) note_write(fd, size, at);
    return really_write(fd, data, size);
}

int fsync(int fd) {
    REAL("fsync", int (*real)(int));
    return note_sync(fd, real(fd));
}

int fdatasync(int fd) {
    REAL("fdatasync", int (*real)(int));
    return note_sync(fd, real(fd));
}
