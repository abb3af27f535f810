/* In place of the loader on a medium of Windows, for EFI: it waits 5 seconds for any key, switches the machine off where
   one has come, and else gives the machine back to the firmware. UEFI 2.10: 4.3 (tables), 12.3 (keys), 12.4 (text). */

typedef unsigned short CHAR16;
typedef unsigned long long UINTN;
typedef struct { unsigned short scan, code; } KEY;
typedef UINTN (*CALL)();

static CALL at(const void *table, int offset) { return *(CALL *)((const char *)table + offset); }

UINTN efi_main(void *image, void *system)
{
    void *in = *(void **)((char *)system + 48), *out = *(void **)((char *)system + 64);
    void *runtime = *(void **)((char *)system + 88), *boot = *(void **)((char *)system + 96);
    KEY key;
    at(in, 0)(in, 0);
    at(out, 8)(out, (CHAR16 *)L"Press any key to boot from CD or DVD...\r\n");
    for (int tenth = 0; tenth < 50; tenth++) {
        if (at(in, 8)(in, &key) == 0) {
            at(out, 8)(out, (CHAR16 *)L"a key has come\r\n");
            at(runtime, 104)(2, 0, 0, 0);
        }
        at(boot, 248)(100000);
    }
    at(out, 8)(out, (CHAR16 *)L"no key has come\r\n");
    return 14;
}
