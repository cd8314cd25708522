// One public line into the unified log. Its arguments are encoded by the compiler, which only C's compilers do.
#if __has_include(<os/log.h>)
#include <os/log.h>
#else
// Where the SDK's header is not at hand, what its macro os_log_with_type comes to (clang's __builtin_os_log_format).
typedef struct os_log_s *os_log_t;
typedef __UINT8_TYPE__ os_log_type_t;
struct mach_header;
extern struct mach_header __dso_handle;
extern _Bool os_log_type_enabled(os_log_t log, os_log_type_t type);
extern void _os_log_impl(void *dso, os_log_t log, os_log_type_t type, const char *format, __UINT8_TYPE__ *buffer,
                         __UINT32_TYPE__ size);
#define os_log_with_type(log, type, format, line)                                                                  \
    do {                                                                                                           \
        if (os_log_type_enabled(log, type)) {                                                                      \
            static const char text[] __attribute__((section("__TEXT,__oslogstring,cstring_literals"))) = format;   \
            __UINT8_TYPE__ buffer[__builtin_os_log_format_buffer_size(format, line)] __attribute__((aligned(16))); \
            __builtin_os_log_format(buffer, format, line);                                                         \
            _os_log_impl((void *)&__dso_handle, log, type, text, buffer, (__UINT32_TYPE__)sizeof(buffer));         \
        }                                                                                                          \
    } while (0)
#endif

void emote_os_log(os_log_t log, os_log_type_t type, const char *line) {
    os_log_with_type(log, type, "%{public}s", line);
}
