/* Reads an answer file of Windows XP with both readers that its Setup has, and writes down what each found.

   inf.exe FILE OUT. A line of OUT: reader ("profile" or "setupapi"), section, key, value, with tabs between them. */

#include <windows.h>
#include <setupapi.h>
#include <stdio.h>
#include <string.h>

enum { LARGE = 32767 };

static FILE *out;

static void of_profile(const char *file, const char *section)
{
    static char keys[LARGE], value[LARGE];
    GetPrivateProfileStringA(section, NULL, "", keys, sizeof keys, file);
    for (const char *key = keys; *key; key += strlen(key) + 1) {
        GetPrivateProfileStringA(section, key, "", value, sizeof value, file);
        fprintf(out, "profile\t%s\t%s\t%s\n", section, key, value);
    }
}

static int of_setupapi(HINF inf, const char *section)
{
    static char key[LARGE], value[LARGE];
    LONG count = SetupGetLineCountA(inf, section);
    for (LONG line = 0; line < count; line++) {
        INFCONTEXT where;
        if (!SetupGetLineByIndexA(inf, section, line, &where) || SetupGetFieldCount(&where) != 1)
            return 0;
        if (!SetupGetStringFieldA(&where, 0, key, sizeof key, NULL))
            return 0;
        if (!SetupGetStringFieldA(&where, 1, value, sizeof value, NULL))
            return 0;
        fprintf(out, "setupapi\t%s\t%s\t%s\n", section, key, value);
    }
    return count > 0;
}

int main(int argc, char **argv)
{
    static char sections[LARGE];
    UINT wrong;
    if (argc != 3 || !(out = fopen(argv[2], "wb")))
        return 1;
    HINF inf = SetupOpenInfFileA(argv[1], NULL, INF_STYLE_OLDNT, &wrong);
    if (inf == INVALID_HANDLE_VALUE)
        return 2;
    GetPrivateProfileSectionNamesA(sections, sizeof sections, argv[1]);
    for (const char *section = sections; *section; section += strlen(section) + 1) {
        of_profile(argv[1], section);
        if (!of_setupapi(inf, section))
            return 3;
    }
    SetupCloseInfFile(inf);
    return fclose(out) ? 4 : 0;
}
