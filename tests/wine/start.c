/* Starts a program the way VMware Tools and other agents do: CreateProcess with a command line that no shell has read.

   %VMGEN_START%: a UTF-8 file that holds the command line. %VMGEN_CODE%: the file that gets the exit code, a decimal
   number: a process of Unix could hand on only its lowest eight bits. %VMGEN_FOLDER%: the working directory. */

#include <windows.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST = 32767 };

int wmain(void)
{
    static char line[LONGEST];
    static wchar_t wide[LONGEST];
    STARTUPINFOW how = {.cb = sizeof how};
    PROCESS_INFORMATION process;
    DWORD code;
    const wchar_t *folder = _wgetenv(L"VMGEN_FOLDER");
    FILE *file = _wfopen(_wgetenv(L"VMGEN_START"), L"rb");
    if (!file)
        return 1;
    line[fread(line, 1, sizeof line - 1, file)] = 0;
    MultiByteToWideChar(CP_UTF8, 0, line, -1, wide, LONGEST);
    if (!CreateProcessW(NULL, wide, NULL, NULL, TRUE, 0, NULL, folder ? folder : L"C:\\windows", &how, &process))
        return 2;
    WaitForSingleObject(process.hProcess, INFINITE);
    if (!GetExitCodeProcess(process.hProcess, &code))
        return 3;
    file = _wfopen(_wgetenv(L"VMGEN_CODE"), L"wb");
    return file && fprintf(file, "%ld", (long)code) > 0 && !fclose(file) ? 0 : 4;
}
