/* What numba's code asks of its runtime: memory behind a counter, and the strides of another shape. It answers to
   the names of numba's own. */

#include <stdlib.h>

#include "kernels.h"

#ifdef _MSC_VER
#include <intrin.h>
#define ONE_LESS(counter) _InterlockedDecrement64((volatile long long *)(counter))
#else
#define ONE_LESS(counter) __atomic_sub_fetch(counter, 1, __ATOMIC_ACQ_REL)
#endif

struct memory *NRT_MemInfo_alloc_aligned(size_t size, unsigned align)
{
    size_t extra = sizeof(struct memory) + align;
    struct memory *memory = size > SIZE_MAX - extra ? NULL : malloc(size + extra);
    if (memory == NULL)
        return NULL; /* a MemoryError, which numba's code raises */
    uintptr_t data = (uintptr_t)(memory + 1);
    data += (align - data % align) % align;
    *memory = (struct memory){.references = 1, .data = (void *)data, .size = size};
    return memory;
}

/* Numba's fills memory with a pattern, so that a use before it is written shows: tests run with that as well. */
struct memory *NRT_MemInfo_alloc_safe_aligned(size_t size, unsigned align)
{
    return NRT_MemInfo_alloc_aligned(size, align);
}

void NRT_MemInfo_call_dtor(struct memory *memory)
{
    if (memory->destroy != NULL)
        memory->destroy(memory->data, memory->size, memory->info);
    free(memory);
}

void release_memory(struct memory *memory)
{
    if (ONE_LESS(&memory->references) == 0)
        NRT_MemInfo_call_dtor(memory);
}

/* Numba's finds strides for all that can have another shape without a copy; kernels ask it of whole arrays only. */
int numba_attempt_nocopy_reshape(ptrdiff_t dimensions, const ptrdiff_t *lengths, const ptrdiff_t *strides,
                                 ptrdiff_t new_dimensions, const ptrdiff_t *new_lengths, ptrdiff_t *new_strides,
                                 ptrdiff_t item_size, int is_f_order)
{
    ptrdiff_t items = 1, stride = item_size;
    for (ptrdiff_t axis = 0; axis < dimensions; axis++)
        items *= lengths[axis];
    for (ptrdiff_t axis = dimensions - 1; axis >= 0 && items > 0; axis--) {
        if (lengths[axis] != 1 && strides[axis] != stride)
            return 0; /* an error of the kernel's */
        stride *= lengths[axis];
    }
    stride = item_size;
    for (ptrdiff_t axis = new_dimensions - 1; axis >= 0; axis--) {
        new_strides[axis] = stride;
        stride *= new_lengths[axis];
    }
    return !is_f_order;
}
