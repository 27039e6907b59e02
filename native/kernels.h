/* What compiled kernels, their memory and Python's way to them share. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A kernel for one form of numbers: those of one name follow each other, and a name of NULL ends the table. */
struct kernel {
    const char *name;
    const char *arguments;
    const char *results;
    int (*entry)(const int64_t *arguments, int64_t *results, const void **raised);
};

/* What numba's code knows of a piece of memory: it counts references itself, and calls when there are none.
   The same as MemInfo of numba/core/runtime/nrt.cpp. */
struct memory {
    size_t references;
    void (*destroy)(void *data, size_t size, void *info);
    void *info;
    void *data;
    size_t size;
    void *allocator;
};

void release_memory(struct memory *memory);

/* The start of what numba's code points to when it raises. */
struct raised {
    const char *pickled;
    int32_t size;
};
