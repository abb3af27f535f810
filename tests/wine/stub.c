/* Stands in for a program of Windows: writes down what it was started with, and does what the rules say.

   %VMGEN_STUB_LOG%: the file that gets one JSON line a start, UTF-8: program, the raw command line, argv as the C
   library cuts it, argv as CommandLineToArgvW cuts it, standard input where that is a file or a pipe, and the value of
   %VMGEN_VALUE%.
   %VMGEN_STUB_RULES%: a UTF-8 file, one rule a line, fields between tabs: program, part of the command line, code,
   output, path of a file, text that is added to it. \n, \r, \t and \\ stand for themselves. The first rule that fits
   counts; without one, the program prints nothing and ends with 0. */

#include <windows.h>
#include <shellapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STDIN_LIMIT = 65536, FIELDS = 6 };

static char *utf8(const wchar_t *text)
{
    int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *made = malloc(size);
    WideCharToMultiByte(CP_UTF8, 0, text, -1, made, size, NULL, NULL);
    return made;
}

static void quote(FILE *out, const char *text, size_t size)
{
    fputc('"', out);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = text[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 32 || c == 127)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void words(FILE *out, const char *name, int count, wchar_t **argv)
{
    fprintf(out, ",\"%s\":[", name);
    for (int i = 0; i < count; i++) {
        char *word = utf8(argv[i]);
        if (i)
            fputc(',', out);
        quote(out, word, strlen(word));
    }
    fputc(']', out);
}

static void input(FILE *out)
{
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE);
    DWORD kind = GetFileType(in), got, size = 0;
    static char data[STDIN_LIMIT];
    if (kind != FILE_TYPE_DISK && kind != FILE_TYPE_PIPE)
        return;
    while (size < STDIN_LIMIT && ReadFile(in, data + size, STDIN_LIMIT - size, &got, NULL) && got)
        size += got;
    fputs(",\"stdin\":", out);
    quote(out, data, size);
}

static void unescape(char *text)
{
    char *to = text;
    for (; *text; text++) {
        if (*text == '\\' && text[1]) {
            text++;
            *to++ = *text == 'n' ? '\n' : *text == 'r' ? '\r' : *text == 't' ? '\t' : *text;
        } else
            *to++ = *text;
    }
    *to = 0;
}

static int obey(char **field)
{
    unescape(field[3]);
    unescape(field[5]);
    fputs(field[3], stdout);
    if (field[4][0]) {
        wchar_t path[1024];
        MultiByteToWideChar(CP_UTF8, 0, field[4], -1, path, 1024);
        FILE *file = _wfopen(path, L"ab");
        if (!file || fputs(field[5], file) == EOF || fclose(file))
            return 250;
    }
    return (int)strtol(field[2], NULL, 10);
}

static int ruled(const char *program, const char *line)
{
    static char rule[32768];
    const wchar_t *path = _wgetenv(L"VMGEN_STUB_RULES");
    FILE *file = path ? _wfopen(path, L"rb") : NULL;
    while (file && fgets(rule, sizeof rule, file)) {
        char *field[FIELDS], *at = rule;
        rule[strcspn(rule, "\r\n")] = 0;
        for (int i = 0; i < FIELDS; i++) {
            field[i] = at;
            at += strcspn(at, "\t");
            if (*at)
                *at++ = 0;
        }
        unescape(field[1]);
        if (!strcmp(field[0], program) && strstr(line, field[1]))
            return obey(field);
    }
    return 0;
}

int wmain(int argc, wchar_t **argv)
{
    wchar_t path[1024], **others;
    int count;
    GetModuleFileNameW(NULL, path, 1024);
    char *program = utf8(wcsrchr(path, L'\\') + 1), *line = utf8(GetCommandLineW());
    *strrchr(program, '.') = 0;
    _strlwr(program);
    others = CommandLineToArgvW(GetCommandLineW(), &count);
    FILE *log = _wfopen(_wgetenv(L"VMGEN_STUB_LOG"), L"ab");
    if (!log)
        return 251;
    fputs("{\"program\":", log);
    quote(log, program, strlen(program));
    fputs(",\"line\":", log);
    quote(log, line, strlen(line));
    words(log, "argv", argc, argv);
    words(log, "shell_argv", count, others);
    input(log);
    if (_wgetenv(L"VMGEN_VALUE")) {
        char *value = utf8(_wgetenv(L"VMGEN_VALUE"));
        fputs(",\"variable\":", log);
        quote(log, value, strlen(value));
    }
    fputs("}\n", log);
    if (fclose(log))
        return 252;
    return ruled(program, line);
}
