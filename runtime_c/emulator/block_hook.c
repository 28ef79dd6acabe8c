/*
 * Counts what an emulated core executes.
 *
 * Unicorn calls tc_on_block() before every translated block. The hook looks the step "from the previous block to this
 * one, in this context" up in a hash table and counts it. A step met for the first time is priced by a callback (which
 * decodes the block, checks that the core has its instructions, and returns instructions and cycles); after that it costs
 * one table look-up, so a run of 10^9 instructions takes seconds.
 *
 * A context is the chain of watched functions that are active (the measured region, the layer in it). Contexts are numbered
 * as they are met: 0 is "none", and contexts[i] names the parent and the watched function that make up number i.
 *
 * Built for the host, without a C library: Python owns all memory, and hands in the Unicorn functions used here.
 */
#include <stdint.h>

enum { TC_RUNNING, TC_PAUSED, TC_TABLE_FULL, TC_REFUSED, TC_TOO_DEEP, TC_UNALIGNED };
enum { TC_WATCH_CONTEXT = 1, TC_WATCH_NOTIFY = 2 };
enum { TC_FILTER = 4096, TC_MAX_FRAMES = 256, TC_MAX_CONTEXTS = 65536 };

typedef struct {
    uint64_t count; /* 0: the slot is free */
    uint32_t context, from, to, size;
    uint32_t instructions, cycles; /* of one execution */
} tc_step;

typedef struct {
    uint32_t address, flags;
} tc_watch;

typedef struct {
    uint32_t parent, watch;
} tc_context;

typedef struct {
    uint32_t watch, return_to, stack, context; /* context: the caller's, restored on return */
} tc_frame;

typedef struct {
    tc_step *steps;
    uint64_t capacity, used; /* capacity is a power of two */
    const tc_watch *watches;
    uint64_t watch_count;
    tc_context *contexts;
    uint64_t context_count;
    uint64_t instructions, cycles; /* totals so far */
    uint64_t pause_at;             /* stop before the first block at or after this many instructions */
    uint32_t from;                 /* address of the previous block; 0xFFFFFFFF: none */
    uint32_t context, depth, stop;
    int (*stop_emulation)(void *);
    int (*read_register)(void *, int, void *);
    uint64_t (*price)(uint32_t from, uint32_t to, uint32_t size); /* instructions << 32 | cycles; all ones: refused */
    void (*crossed)(uint32_t watch, uint32_t entering); /* for watches with TC_WATCH_NOTIFY */
    int32_t stack_register, link_register;
    uint8_t filter[TC_FILTER]; /* 1 where a watched function may start */
    tc_frame frames[TC_MAX_FRAMES];
} tc_profile;

typedef struct {
    tc_profile *profile;
    uint64_t base; /* number of the register, in Unicorn's count */
} tc_access;

uint64_t tc_profile_size(void) { return sizeof(tc_profile); }

static uint64_t hash_of(uint32_t context, uint32_t from, uint32_t to)
{
    uint64_t h = ((uint64_t)from << 32 | to) + context * 0x9E3779B97F4A7C15ull;
    h *= 0xD6E8FEB86659FD93ull;
    return h ^ h >> 32;
}

static tc_step *find(tc_step *steps, uint64_t capacity, const tc_step *key)
{
    uint64_t slot = hash_of(key->context, key->from, key->to) & (capacity - 1);
    for (;; slot = (slot + 1) & (capacity - 1)) {
        tc_step *s = &steps[slot];
        if (s->count == 0)
            return s;
        if (s->to == key->to && s->from == key->from && s->context == key->context && s->size == key->size)
            return s;
    }
}

/* Moves all steps to a larger, zeroed table. */
void tc_profile_grow(tc_profile *p, tc_step *steps, uint64_t capacity)
{
    for (uint64_t i = 0; i < p->capacity; i++)
        if (p->steps[i].count)
            *find(steps, capacity, &p->steps[i]) = p->steps[i];
    p->steps = steps;
    p->capacity = capacity;
}

static uint32_t read_register(const tc_profile *p, void *uc, int32_t which)
{
    uint32_t value = 0;
    p->read_register(uc, which, &value);
    return value;
}

static void halt(tc_profile *p, void *uc, uint32_t why)
{
    p->stop = why;
    p->stop_emulation(uc);
}

static int enter_context(tc_profile *p, uint32_t watch)
{
    uint64_t i = 1;
    while (i < p->context_count && (p->contexts[i].parent != p->context || p->contexts[i].watch != watch))
        i++;
    if (i == TC_MAX_CONTEXTS)
        return 0;
    if (i == p->context_count) {
        p->contexts[i].parent = p->context;
        p->contexts[i].watch = watch;
        p->context_count++;
    }
    p->context = (uint32_t)i;
    return 1;
}

/* A function whose loop jumps back to its first instruction is not called again: stack and return address are as they were. */
static int call(tc_profile *p, void *uc, uint32_t watch)
{
    uint32_t stack = read_register(p, uc, p->stack_register);
    uint32_t return_to = read_register(p, uc, p->link_register) & ~1u;
    if (p->depth) {
        const tc_frame *top = &p->frames[p->depth - 1];
        if (top->watch == watch && top->stack == stack && top->return_to == return_to)
            return 1;
    }
    if (p->depth == TC_MAX_FRAMES)
        return 0;
    tc_frame *frame = &p->frames[p->depth];
    frame->watch = watch;
    frame->return_to = return_to;
    frame->stack = stack;
    frame->context = p->context;
    if (p->watches[watch].flags & TC_WATCH_CONTEXT) {
        if (!enter_context(p, watch))
            return 0;
        p->depth++;
    }
    if (p->watches[watch].flags & TC_WATCH_NOTIFY)
        p->crossed(watch, 1);
    return 1;
}

static void leave(tc_profile *p)
{
    const tc_frame *top = &p->frames[--p->depth];
    p->context = top->context;
    if (p->watches[top->watch].flags & TC_WATCH_NOTIFY)
        p->crossed(top->watch, 0);
}

static int follow_calls(tc_profile *p, void *uc, uint32_t to)
{
    while (p->depth && p->frames[p->depth - 1].return_to == to &&
           read_register(p, uc, p->stack_register) >= p->frames[p->depth - 1].stack)
        leave(p);
    if (!p->filter[(to >> 1) % TC_FILTER])
        return 1;
    for (uint64_t i = 0; i < p->watch_count; i++)
        if (p->watches[i].address == to && !call(p, uc, (uint32_t)i))
            return 0;
    return 1;
}

void tc_on_block(void *uc, uint64_t address, uint32_t size, void *user)
{
    tc_profile *p = user;
    /* Stopping here keeps the block from running; it is met again, and counted, when emulation goes on. */
    if (p->instructions >= p->pause_at) {
        halt(p, uc, TC_PAUSED);
        return;
    }
    if (p->used * 2 >= p->capacity) {
        halt(p, uc, TC_TABLE_FULL);
        return;
    }
    uint32_t to = (uint32_t)address;
    if (!follow_calls(p, uc, to)) {
        halt(p, uc, TC_TOO_DEEP);
        return;
    }
    const tc_step key = {0, p->context, p->from, to, size, 0, 0};
    tc_step *step = find(p->steps, p->capacity, &key);
    if (step->count == 0) {
        uint64_t cost = p->price(p->from, to, size);
        if (cost == ~0ull) {
            halt(p, uc, TC_REFUSED);
            return;
        }
        *step = key;
        step->instructions = (uint32_t)(cost >> 32);
        step->cycles = (uint32_t)cost;
        p->used++;
    }
    step->count++;
    p->instructions += step->instructions;
    p->cycles += step->cycles;
    p->from = to;
}

/* Called before an instruction that faults on the chip if its base register is not a multiple of four. */
void tc_on_aligned_access(void *uc, uint64_t address, uint32_t size, void *user)
{
    const tc_access *access = user;
    (void)address;
    (void)size;
    if (read_register(access->profile, uc, (int32_t)access->base) & 3u)
        halt(access->profile, uc, TC_UNALIGNED);
}
