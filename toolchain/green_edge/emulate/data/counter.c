/* Counts the instructions that a program executes under qemu-user 7.2, plugin interface 1.
 *
 * The program marks a place by the system call 9001, which Linux does not have, with a number of its
 * own; each mark writes a line "mark NUMBER INSTRUCTIONS" to qemu's log (-d plugin -D FILE).
 *
 * Only functions of qemu are used and no C library: it is compiled on the host and loaded beside
 * Debian's. What it uses of qemu-plugin.h is declared here, so no package has to be installed.
 */
#include <stddef.h>
#include <stdint.h>

#define MARK_CALL 9001
#define ADD_U64 0 /* QEMU_PLUGIN_INLINE_ADD_U64 */
#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_info_t;
struct qemu_plugin_tb;

typedef void (*on_translation)(plugin_id, struct qemu_plugin_tb *);
typedef void (*on_system_call)(plugin_id, unsigned int, int64_t, uint64_t, uint64_t, uint64_t,
                               uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, on_system_call);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_outs(const char *);

EXPORT int qemu_plugin_version = 1;

/* One for all threads: added to without a lock, so right only while a single one runs. */
static uint64_t instructions;

static void translated(plugin_id id, struct qemu_plugin_tb *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &instructions,
                                             qemu_plugin_tb_n_insns(block));
}

/* Write a number's digits and what ends it; returns the place after. */
static char *put(char *at, uint64_t number, char end) {
    char reversed[20];
    int digits = 0;
    do {
        reversed[digits++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (digits > 0)
        *at++ = reversed[--digits];
    *at++ = end;
    return at;
}

static void called(plugin_id id, unsigned int cpu, int64_t number, uint64_t mark, uint64_t a2,
                   uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    char line[64] = "mark ";
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != MARK_CALL)
        return;
    *put(put(line + 5, mark, ' '), instructions, '\n') = '\0';
    qemu_plugin_outs(line);
}

EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info_t *info, int argc,
                               char **argv) {
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
