/* Preloaded: what reads byte FAILING_BYTE of FAILING_FILE fails, as on a bad disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t read(int file, void *buffer, size_t size) {
    static ssize_t (*read_really)(int, void *, size_t);
    const char *path = getenv("FAILING_FILE"), *byte = getenv("FAILING_BYTE");
    struct stat found, failing;
    if (!read_really)
        read_really = dlsym(RTLD_NEXT, "read");
    if (path && byte && !fstat(file, &found) && !stat(path, &failing) &&
        found.st_ino == failing.st_ino && found.st_dev == failing.st_dev &&
        lseek(file, 0, SEEK_CUR) <= atoll(byte) &&
        lseek(file, 0, SEEK_CUR) + (off_t)size > atoll(byte)) {
        errno = EIO;
        return -1;
    }
    return read_really(file, buffer, size);
}
