/* wine before 8.13 has no bcryptprimitives.dll; Rust's standard library takes its random bytes
   from there. This one hands the question on to RtlGenRandom of advapi32. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T length)
{
    const ULONG most = 1UL << 20;

    while (length > 0) {
        ULONG count = length < most ? (ULONG)length : most;
        if (!RtlGenRandom(bytes, count))
            return FALSE;
        bytes += count;
        length -= count;
    }
    return TRUE;
}
