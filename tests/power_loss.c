/* Preloaded: tells what is on the disk, and kills at a call, to see what a power loss would leave.

   POWER_LOG gets a line for each sync and each rename, POWER_KEPT a link to each file that a rename
   replaces. The process is killed before call number POWER_LOST of these functions. What is synced
   of the files below POWER_ROOT is told as inode, size and time of the last change. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int calls;

static int count(void) {
    const char *lost = getenv("POWER_LOST");
    int number = ++calls;
    if (lost && number == atoi(lost))
        kill(getpid(), SIGKILL);
    return number;
}

static void tell(const char *format, ...) {
    char line[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    int log = open(getenv("POWER_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (log < 0 || write(log, line, length) != length)
        abort();
    close(log);
}

static int tell_synced(const char *path, const struct stat *found, int type, struct FTW *ftw) {
    (void)path, (void)type, (void)ftw;
    tell("synced %ju %jd %jd%09ld\n", (uintmax_t)found->st_ino, (intmax_t)found->st_size,
         (intmax_t)found->st_mtim.tv_sec, found->st_mtim.tv_nsec);
    return 0;
}

int syncfs(int file) {
    int (*really)(int) = dlsym(RTLD_NEXT, "syncfs");
    count();
    int result = really(file);
    if (!result)
        nftw(getenv("POWER_ROOT"), tell_synced, 16, FTW_PHYS);
    return result;
}

int fsync(int file) {
    int (*really)(int) = dlsym(RTLD_NEXT, "fsync");
    struct stat found;
    count();
    int result = really(file);
    if (!result && !fstat(file, &found))
        tell_synced("", &found, 0, NULL);
    return result;
}

int fdatasync(int file) { return fsync(file); }

int rename(const char *old, const char *new) {
    int (*really)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    char kept[4096], from[4096], to[4096], parent[4096], *cwd = getcwd(NULL, 0);
    struct stat found = {0};
    int number = count();
    snprintf(kept, sizeof kept, "%s/%d-%d", getenv("POWER_KEPT"), getpid(), number);
    snprintf(from, sizeof from, "%s%s%s", *old == '/' ? "" : cwd, *old == '/' ? "" : "/", old);
    snprintf(to, sizeof to, "%s%s%s", *new == '/' ? "" : cwd, *new == '/' ? "" : "/", new);
    free(cwd);
    if (link(new, kept))
        *kept = 0; /* there is none, or it is a directory */
    int result = really(old, new);
    snprintf(parent, sizeof parent, "%s", to);
    stat(dirname(parent), &found);
    if (!result)
        tell("renamed\t%s\t%s\t%ju\t%s\n", from, to, (uintmax_t)found.st_ino, kept);
    return result;
}
