package main

import (
	"fmt"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const guestPath = "/guestFile"

// transfer is what a token of a URL stands for. It is good for one.
type transfer struct {
	vm     reference
	boot   int
	asked  words
	size   int64
	upload bool
}

func (s *StandIn) guestCalls() {
	own := mo.GuestAuthManager{Self: reference{Type: "GuestAuthManager", Value: "guestOperationsAuthManager"}}
	simulator.Map.Put(&own)
	content := simulator.Map.Get(reference{Type: "ServiceInstance", Value: "ServiceInstance"})
	managers := content.(*simulator.ServiceInstance).Content.GuestOperationsManager
	update(*managers, set("authManager", own.Self))
	s.processCalls()
	s.fileCalls()
	s.calls["ValidateCredentialsInGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.ValidateCredentialsInGuest)
		return &types.ValidateCredentialsInGuestResponse{}, s.guest("validate", req.Vm, req.Auth, words{}, nil)
	}
}

func (s *StandIn) processCalls() {
	s.calls["StartProgramInGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.StartProgramInGuest)
		spec := req.Spec.GetGuestProgramSpec()
		made := &types.StartProgramInGuestResponse{}
		asked := words{"program": spec.ProgramPath, "arguments": spec.Arguments, "folder": spec.WorkingDirectory,
			"variables": append([]string{}, spec.EnvVariables...)}
		return made, s.guest("start", req.Vm, req.Auth, asked, &made.Returnval)
	}
	s.calls["ListProcessesInGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.ListProcessesInGuest)
		found := []struct {
			Pid, Code           int64
			Name, Command, User string
			Began               float64
			Ended               *float64
		}{}
		wrong := s.guest("list", req.Vm, req.Auth, words{"pids": append([]int64{}, req.Pids...)}, &found)
		made := &ListProcessesInGuestResponse{}
		for _, one := range found {
			info := processInfo{Name: one.Name, Pid: one.Pid, Owner: one.User, CmdLine: one.Command,
				StartTime: at(one.Began)}
			if one.Ended != nil {
				ended, code := at(*one.Ended), int32(one.Code)
				info.EndTime, info.ExitCode = &ended, &code
			}
			made.Returnval = append(made.Returnval, info)
		}
		return made, wrong
	}
	s.calls["TerminateProcessInGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.TerminateProcessInGuest)
		asked := words{"pid": req.Pid}
		return &types.TerminateProcessInGuestResponse{}, s.guest("terminate", req.Vm, req.Auth, asked, nil)
	}
}

// ListProcessesInGuestResponse is that of the library, which leaves out an exit code of 0.
type ListProcessesInGuestResponse struct {
	Returnval []processInfo `xml:"returnval,omitempty"`
}

type processInfo struct {
	Name      string     `xml:"name"`
	Pid       int64      `xml:"pid"`
	Owner     string     `xml:"owner"`
	CmdLine   string     `xml:"cmdLine"`
	StartTime time.Time  `xml:"startTime"`
	EndTime   *time.Time `xml:"endTime"`
	ExitCode  *int32     `xml:"exitCode"`
}

func at(moment float64) time.Time { return time.UnixMilli(int64(moment * 1000)).UTC() }

func (s *StandIn) fileCalls() {
	s.calls["CreateTemporaryDirectoryInGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.CreateTemporaryDirectoryInGuest)
		made := &types.CreateTemporaryDirectoryInGuestResponse{}
		asked := words{"prefix": req.Prefix, "suffix": req.Suffix, "path": req.DirectoryPath}
		return made, s.guest("temporary", req.Vm, req.Auth, asked, &made.Returnval)
	}
	s.calls["MakeDirectoryInGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.MakeDirectoryInGuest)
		asked := words{"path": req.DirectoryPath, "parents": req.CreateParentDirectories}
		return &types.MakeDirectoryInGuestResponse{}, s.guest("mkdir", req.Vm, req.Auth, asked, nil)
	}
	s.calls["DeleteFileInGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.DeleteFileInGuest)
		asked := words{"path": req.FilePath}
		return &types.DeleteFileInGuestResponse{}, s.guest("unlink", req.Vm, req.Auth, asked, nil)
	}
	s.calls["DeleteDirectoryInGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.DeleteDirectoryInGuest)
		asked := words{"path": req.DirectoryPath, "recursive": req.Recursive}
		return &types.DeleteDirectoryInGuestResponse{}, s.guest("rmdir", req.Vm, req.Auth, asked, nil)
	}
	s.calls["MoveFileInGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.MoveFileInGuest)
		asked := words{"path": req.SrcFilePath, "goal": req.DstFilePath, "overwrite": req.Overwrite}
		return &types.MoveFileInGuestResponse{}, s.guest("move", req.Vm, req.Auth, asked, nil)
	}
	s.calls["ListFilesInGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.ListFilesInGuest)
		found := []struct {
			Path, Type string
			Size       int64
			Mode       int64
		}{}
		wrong := s.guest("files", req.Vm, req.Auth, words{"path": req.FilePath}, &found)
		made := &types.ListFilesInGuestResponse{}
		for _, one := range found {
			attributes := &types.GuestPosixFileAttributes{Permissions: one.Mode}
			info := types.GuestFileInfo{Path: one.Path, Type: one.Type, Size: one.Size, Attributes: attributes}
			made.Returnval.Files = append(made.Returnval.Files, info)
		}
		return made, wrong
	}
	s.calls["InitiateFileTransferToGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.InitiateFileTransferToGuest)
		asked := words{"path": req.GuestFilePath, "overwrite": req.Overwrite, "mode": int64(0)}
		if own, ok := req.FileAttributes.(*types.GuestPosixFileAttributes); ok {
			asked["mode"] = own.Permissions
		}
		if wrong := s.guest("writable", req.Vm, req.Auth, asked, nil); wrong != nil {
			return nil, wrong
		}
		given := transfer{vm: req.Vm, asked: asked, size: req.FileSize, upload: true}
		return &types.InitiateFileTransferToGuestResponse{Returnval: s.transferURL(given)}, nil
	}
	s.calls["InitiateFileTransferFromGuest"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.InitiateFileTransferFromGuest)
		asked, size := words{"path": req.GuestFilePath}, int64(0)
		if wrong := s.guest("readable", req.Vm, req.Auth, asked, &size); wrong != nil {
			return nil, wrong
		}
		info := types.FileTransferInformation{Attributes: &types.GuestPosixFileAttributes{}, Size: size}
		info.Url = s.transferURL(transfer{vm: req.Vm, asked: asked, size: size})
		return &types.InitiateFileTransferFromGuestResponse{Returnval: info}, nil
	}
}

// guest orders something there, as the user of whom this is the login.
func (s *StandIn) guest(
	name string, ref reference, auth types.BaseGuestAuthentication, asked words, goal interface{},
) fault {
	vm := machine(ref)
	if vm == nil {
		return &types.ManagedObjectNotFound{Obj: ref}
	}
	if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		return &types.InvalidPowerState{RequestedState: "poweredOn", ExistingState: vm.Runtime.PowerState}
	}
	if !isUp(vm) {
		return &types.GuestOperationsUnavailable{}
	}
	login, ok := auth.(*types.NamePasswordAuthentication)
	if !ok {
		return &types.InvalidGuestLogin{}
	}
	asked["vm"], asked["user"] = ref.Value, login.Username
	if wrong := s.ground.order("login", words{"vm": ref.Value, "user": login.Username, "password": login.Password}, nil); wrong != nil {
		return wrong
	}
	return s.ground.order(name, asked, goal)
}

func (s *StandIn) transferURL(given transfer) string {
	token := uuid.New().String()
	given.boot = s.powered(given.vm, 0)
	s.lock.Lock()
	defer s.lock.Unlock()
	s.tokens[token] = given
	return fmt.Sprintf("https://*%s?id=%s&token=%s", guestPath, given.vm.Value, token)
}

func (s *StandIn) serveGuestFile(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("token")
	s.lock.Lock()
	given, ok := s.tokens[token]
	delete(s.tokens, token)
	s.lock.Unlock()
	switch {
	case !ok || s.powered(given.vm, 0) != given.boot:
		w.WriteHeader(http.StatusNotFound)
	case given.upload && r.Method == http.MethodPut:
		if r.ContentLength != given.size {
			log.Printf("guest file: %d bytes told, %d come", given.size, r.ContentLength)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(s.ground.put(given.asked, r.Body))
	case !given.upload && r.Method == http.MethodGet:
		w.Header().Set("Content-Length", strconv.FormatInt(given.size, 10))
		s.ground.get(given.asked, w)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}
