; The installer for Windows: for one user, without an administrator. Compiled by build.py, which
; defines VERSION, NUMBERS (the same as four numbers), BUNDLE (the folder that freeze.py made), SIZE
; (of it, in KB), ICONS, SIDE (a picture) and OUTPUT.
;
; /S installs and uninstalls without a window. Exit codes: 0 done, 2 not done.

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
!define MUI_WELCOMEPAGE_TEXT "An icon in the taskbar that opens SSH tunnels to your Jupyter servers.$\r$\n$\r$\nIt is installed for your account only and needs no administrator. If trayconnect is running, it is closed first, with its tunnels. Your servers are kept."
!define MUI_FINISHPAGE_RUN "${WINDOWED}"
!define MUI_FINISHPAGE_RUN_TEXT "Start ${NAME}"
!insertmacro MUI_PAGE_WELCOME
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!define MUI_UNCONFIRMPAGE_TEXT_TOP "Your server file, host keys and stored keys are kept."
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"

Var WasRunning

; Ends the app that runs from this folder. Sets WasRunning; quits the installer if the app does not end.
!macro EndApp un
Function ${un}EndApp
  Push "${WINDOWED}"
  Call ${un}IsUsed
  Pop $WasRunning
  DetailPrint "Ending ${NAME}"
  again:
  StrCpy $2 1 ; the first time, only look
  ${For} $1 1 6 ; several times: a starting app does not answer yet
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
  ; The app hangs. The whole path of taskkill, as a program of that name may lie beside the installer.
  nsExec::Exec /TIMEOUT=10000 '"$SYSDIR\taskkill.exe" /F /IM trayconnectw.exe'
  Pop $0
  Push 50
  Call ${un}WaitUnused
  Pop $0
  ${If} $0 == 0
    MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION \
      "${NAME} is still running. Quit it from its menu, close any console that runs one of its commands, and try again." \
      /SD IDCANCEL IDRETRY again
    SetErrorLevel 2
    Quit
  ${EndIf}
FunctionEnd

; Waits until neither program runs. On the stack: the limit in tenths of a second; then 1, or 0 if one
; still runs.
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

; Whether a program runs. On the stack: its path; then 1 or 0.
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
  RMDir /r "$INSTDIR\_internal" ; modules of an earlier version must not stay
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
  ${AndIf} ${Silent} ; otherwise the last page asks
    Exec '"${WINDOWED}"'
  ${EndIf}
SectionEnd

; Removes the entry that starts this program at login, but not that of another installation. The
; program is still there: the short forms of two paths to it are the same.
Function un.EndAutostart
  ReadRegStr $0 HKCU "${AUTOSTART}" "${NAME}"
  StrCpy $1 $0 1
  ${If} $1 == '"'
    StrCpy $0 $0 -1 1
  ${EndIf}
  GetFullPathName /SHORT $0 "$0"
  GetFullPathName /SHORT $1 "${WINDOWED}"
  ${If} $0 == $1
  ${AndIf} $0 != "" ; neither is there
    DeleteRegValue HKCU "${AUTOSTART}" "${NAME}"
    DeleteRegValue HKCU "${APPROVED}" "${NAME}"
  ${EndIf}
FunctionEnd

Section Uninstall
  Call un.EndApp
  Call un.EndAutostart
  Delete "$SMPROGRAMS\${NAME}.lnk"
  ; Only our own files: others may lie in the folder.
  RMDir /r "$INSTDIR\_internal"
  Delete "${CONSOLE}"
  Delete "${WINDOWED}"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  DeleteRegKey HKCU "${UNINSTALL}"
SectionEnd
