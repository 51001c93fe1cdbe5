; The installer for Windows: for one user, without an administrator. Compiled by build.py, which
; defines VERSION, NUMBERS (the same as four numbers), BUNDLE (the folder that freeze.py made), SIZE
; (of it, in KB), ICONS and OUTPUT.
;
; setup.exe /S installs without a window, uninstall.exe /S removes so. Exit codes: 0 done, 2 not done.

Unicode true
Target amd64-unicode
RequestExecutionLevel user
ManifestDPIAware true
SetCompressor /SOLID lzma

!include MUI2.nsh
!include LogicLib.nsh

!define NAME "trayconnect"
!define CURRENT "Software\Microsoft\Windows\CurrentVersion"
!define UNINSTALL "${CURRENT}\Uninstall\${NAME}"
!define AUTOSTART "${CURRENT}\Run"
!define APPROVED "${CURRENT}\Explorer\StartupApproved\Run"
!define CONSOLE "$INSTDIR\trayconnect.exe"
!define WINDOWED "$INSTDIR\trayconnectw.exe"

Name "${NAME}"
OutFile "${OUTPUT}"
InstallDir "$LOCALAPPDATA\Programs\${NAME}"
InstallDirRegKey HKCU "${UNINSTALL}" InstallLocation
BrandingText "${NAME} ${VERSION}"
ShowInstDetails nevershow
ShowUninstDetails nevershow

VIProductVersion "${NUMBERS}"
VIAddVersionKey ProductName "${NAME}"
VIAddVersionKey ProductVersion "${VERSION}"
VIAddVersionKey FileVersion "${VERSION}"
VIAddVersionKey FileDescription "${NAME} setup"
VIAddVersionKey LegalCopyright "MIT licence"

!define MUI_ICON "${ICONS}/trayconnect.ico"
!define MUI_UNICON "${ICONS}/trayconnect.ico"
!define MUI_WELCOMEFINISHPAGE_BITMAP "${SIDE}"
!define MUI_WELCOMEPAGE_TEXT "An icon in the taskbar that opens SSH tunnels to your Jupyter servers.$\r$\n$\r$\nIt is installed for you alone, without an administrator. One that runs is ended first, with its tunnels; your servers stay."
!define MUI_FINISHPAGE_RUN "${WINDOWED}"
!define MUI_FINISHPAGE_RUN_TEXT "Start ${NAME}"
!insertmacro MUI_PAGE_WELCOME
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!define MUI_UNCONFIRMPAGE_TEXT_TOP "Your server file, host keys and kept keys stay."
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"

Var WasRunning

; Ends the app that runs from this folder. Sets WasRunning; leaves the installer if it does not end.
!macro EndApp un
Function ${un}EndApp
  Push "${WINDOWED}"
  Call ${un}IsUsed
  Pop $WasRunning
  DetailPrint "Ending ${NAME}"
  again:
  StrCpy $2 1 ; the first time, only look
  ${For} $1 1 6 ; it does not answer while it starts
    Push $2
    Call ${un}WaitUnused
    Pop $0
    ${If} $0 == 1
      Return
    ${EndIf}
    nsExec::ExecToStack /TIMEOUT=10000 '"${CONSOLE}" quit'
    Pop $0
    Pop $0
    StrCpy $2 50
  ${Next}
  ; It does not answer: the tunnels of one that hangs are of no use to anybody. The whole path, as
  ; a program of that name may lie beside the installer.
  nsExec::Exec /TIMEOUT=10000 '"$SYSDIR\taskkill.exe" /F /IM trayconnectw.exe'
  Pop $0
  Push 50
  Call ${un}WaitUnused
  Pop $0
  ${If} $0 == 0
    MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION \
      "${NAME} is still running. Quit it in its menu, close the consoles in which a command of it runs, and try again." \
      /SD IDCANCEL IDRETRY again
    SetErrorLevel 2
    Quit
  ${EndIf}
FunctionEnd

; Waits until none of our programs runs: so many tenths of a second as the stack says, where it
; leaves 1, or 0 if one still runs.
Function ${un}WaitUnused
  Exch $0
  Push $1
  Push $2
  StrCpy $2 $0
  ${For} $1 1 $2
    Push "${WINDOWED}"
    Call ${un}IsUsed
    Pop $0
    ${If} $0 == 0
      Push "${CONSOLE}"
      Call ${un}IsUsed
      Pop $0
    ${EndIf}
    ${If} $0 == 0
      ${ExitFor}
    ${EndIf}
    Sleep 100
  ${Next}
  IntOp $0 1 - $0
  Pop $2
  Pop $1
  Exch $0
FunctionEnd

; Whether the program whose path is on the stack runs: 1 or 0 in its place.
Function ${un}IsUsed
  Exch $0
  Push $1
  StrCpy $1 0
  ${If} ${FileExists} "$0"
    ClearErrors
    FileOpen $1 "$0" a ; refused while it runs
    ${If} ${Errors}
      StrCpy $1 1
    ${Else}
      FileClose $1
      StrCpy $1 0
    ${EndIf}
  ${EndIf}
  StrCpy $0 $1
  Pop $1
  Exch $0
FunctionEnd
!macroend
!insertmacro EndApp ""
!insertmacro EndApp "un."

Function .onInit
  SetShellVarContext current
  ; Only Windows 10 and newer have this number.
  ReadRegDWORD $0 HKLM "Software\Microsoft\Windows NT\CurrentVersion" CurrentMajorVersionNumber
  ${If} $0 < 10
    MessageBox MB_ICONSTOP "${NAME} needs Windows 10 or newer." /SD IDOK
    SetErrorLevel 2
    Quit
  ${EndIf}
FunctionEnd

Function un.onInit
  SetShellVarContext current
FunctionEnd

Section
  Call EndApp
  SetOutPath "$INSTDIR"
  RMDir /r "$INSTDIR\_internal" ; a module of an earlier version must not be found
  ClearErrors
  File /r "${BUNDLE}/*"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  CreateShortcut "$SMPROGRAMS\${NAME}.lnk" "${WINDOWED}" "" "${WINDOWED}" 0 "" "" \
    "SSH tunnels to Jupyter servers"
  WriteRegStr HKCU "${UNINSTALL}" DisplayName "${NAME}"
  WriteRegStr HKCU "${UNINSTALL}" DisplayVersion "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL}" DisplayIcon "${WINDOWED}"
  WriteRegStr HKCU "${UNINSTALL}" Publisher "${NAME}"
  WriteRegStr HKCU "${UNINSTALL}" InstallLocation "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL}" UninstallString '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL}" QuietUninstallString '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${UNINSTALL}" EstimatedSize ${SIZE}
  WriteRegDWORD HKCU "${UNINSTALL}" NoModify 1
  WriteRegDWORD HKCU "${UNINSTALL}" NoRepair 1
  ${If} ${Errors}
    MessageBox MB_ICONSTOP "Not everything could be written to $INSTDIR." /SD IDOK
    SetErrorLevel 2
    Abort
  ${EndIf}
  ${If} $WasRunning == 1
  ${AndIf} ${Silent} ; the last page asks for it
    Exec '"${WINDOWED}"'
  ${EndIf}
SectionEnd

; Removes the entry that starts our program, which is gone, at login: not that of pip's.
Function un.EndAutostart
  ReadRegStr $0 HKCU "${AUTOSTART}" "${NAME}"
  StrCpy $1 $0 1
  ${If} $1 == '"'
    StrCpy $0 $0 -1 1
  ${EndIf}
  StrCpy $1 $0 "" -16
  ${If} $1 == "trayconnectw.exe"
  ${AndIfNot} ${FileExists} "$0"
    DeleteRegValue HKCU "${AUTOSTART}" "${NAME}"
    DeleteRegValue HKCU "${APPROVED}" "${NAME}"
  ${EndIf}
FunctionEnd

Section Uninstall
  Call un.EndApp
  Delete "$SMPROGRAMS\${NAME}.lnk"
  ; What is ours and no more: others may have put files into the folder.
  RMDir /r "$INSTDIR\_internal"
  Delete "${CONSOLE}"
  Delete "${WINDOWED}"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  Call un.EndAutostart
  DeleteRegKey HKCU "${UNINSTALL}"
SectionEnd
