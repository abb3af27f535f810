package main

import (
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// powered says whether the machine is in the same boot as then, and begins another with more > 0.
func (s *StandIn) powered(ref reference, more int) int {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.tools[ref] += more
	return s.tools[ref]
}

func (s *StandIn) powerCalls() {
	s.calls["PowerOnVM_Task"] = func(body interface{}) (interface{}, fault) {
		ref := body.(*types.PowerOnVM_Task).This
		work := func() (types.AnyType, fault) { return nil, s.powerOn(ref) }
		return &types.PowerOnVM_TaskResponse{Returnval: begun(ref, "powerOn", work)}, nil
	}
	s.calls["PowerOffVM_Task"] = func(body interface{}) (interface{}, fault) {
		ref := body.(*types.PowerOffVM_Task).This
		work := func() (types.AnyType, fault) { return nil, s.powerOff(ref) }
		return &types.PowerOffVM_TaskResponse{Returnval: begun(ref, "powerOff", work)}, nil
	}
	s.calls["ResetVM_Task"] = func(body interface{}) (interface{}, fault) {
		ref := body.(*types.ResetVM_Task).This
		work := func() (types.AnyType, fault) {
			wrong := s.powerOff(ref)
			if wrong == nil {
				wrong = s.powerOn(ref)
			}
			return nil, wrong
		}
		return &types.ResetVM_TaskResponse{Returnval: begun(ref, "reset", work)}, nil
	}
	s.calls["ShutdownGuest"] = func(body interface{}) (interface{}, fault) {
		ref := body.(*types.ShutdownGuest).This
		return &types.ShutdownGuestResponse{}, s.ends(ref, false)
	}
	s.calls["RebootGuest"] = func(body interface{}) (interface{}, fault) {
		ref := body.(*types.RebootGuest).This
		return &types.RebootGuestResponse{}, s.ends(ref, true)
	}
	s.calls["PutUsbScanCodes"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.PutUsbScanCodes)
		vm := machine(req.This)
		if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
			return nil, &types.InvalidPowerState{RequestedState: "poweredOn", ExistingState: vm.Runtime.PowerState}
		}
		codes := []int32{}
		for _, event := range req.Spec.KeyEvents {
			codes = append(codes, event.UsbHidCode)
		}
		wrong := s.ground.order("keys", words{"vm": req.This.Value, "codes": codes}, nil)
		return &types.PutUsbScanCodesResponse{Returnval: int32(len(codes))}, wrong
	}
	s.calls["AnswerVM"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.AnswerVM)
		vm := machine(req.This)
		if vm.Runtime.Question == nil || vm.Runtime.Question.Id != req.QuestionId {
			return nil, &types.InvalidArgument{InvalidProperty: "questionId"}
		}
		update(vm.Self, set("runtime.question", nil))
		go s.bootsUp(vm, s.powered(vm.Self, 0))
		return &types.AnswerVMResponse{}, nil
	}
}

func (s *StandIn) powerOn(ref reference) fault {
	vm := machine(ref)
	if wrong := s.busy(ref); wrong != nil {
		return wrong
	}
	res, err := methods.PowerOnVM_Task(nowhere, s.service, &types.PowerOnVM_Task{This: ref})
	if err != nil {
		return asFault(err)
	}
	if _, wrong := result(res.Returnval); wrong != nil {
		return wrong
	}
	boot := s.powered(ref, 1)
	if text := s.settings().Question; text != "" {
		choice := types.ChoiceOption{ChoiceInfo: []types.BaseElementDescription{
			&types.ElementDescription{Key: "0", Description: types.Description{Label: "Retry", Summary: "Retry"}},
		}}
		update(ref, set("runtime.question", types.VirtualMachineQuestionInfo{Id: "1", Text: text, Choice: choice}))
		return nil
	}
	go s.bootsUp(vm, boot)
	return nil
}

// bootsUp starts what stands behind the machine; its Tools are up some time later.
func (s *StandIn) bootsUp(vm *simulator.VirtualMachine, boot int) {
	extra := map[string]interface{}{}
	for _, option := range vm.Config.ExtraConfig {
		extra[option.GetOptionValue().Key] = option.GetOptionValue().Value
	}
	if s.powered(vm.Self, 0) != boot {
		return
	}
	var found struct{ Tools, Watch bool }
	asked := words{"vm": vm.Self.Value, "name": vm.Name, "extra": extra, "firmware": vm.Config.Firmware,
		"order": bootOrder(vm), "cds": inDrives(vm, "VirtualCdrom"), "floppies": inDrives(vm, "VirtualFloppy"),
		"serials": inDrives(vm, "VirtualSerialPort")}
	wrong := s.ground.order("boot", asked, &found)
	after := s.settings().ToolsAfter
	if s.powered(vm.Self, 0) != boot {
		_ = s.ground.order("stop", words{"vm": vm.Self.Value}, nil) // it was switched off meanwhile
		return
	}
	if wrong == nil && found.Watch {
		s.watch(vm, boot) // no Tools are in it yet, and it goes off by itself
	}
	if wrong != nil || !found.Tools || after < 0 {
		return
	}
	time.Sleep(seconds(after))
	if s.powered(vm.Self, 0) == boot {
		report(vm.Self, true, s.settings().Address)
		s.watch(vm, boot)
	}
}

// bootOrder are the kinds of devices that the firmware is told to start from, first to last (BootOptions.bootOrder).
func bootOrder(vm *simulator.VirtualMachine) []string {
	made := []string{}
	if vm.Config.BootOptions == nil {
		return made
	}
	for _, one := range vm.Config.BootOptions.BootOrder {
		name := strings.TrimPrefix(reflect.TypeOf(one).Elem().Name(), "VirtualMachineBootOptionsBootable")
		made = append(made, strings.TrimSuffix(name, "Device"))
	}
	return made
}

// inDrives are the images that drives of this kind are connected to when the machine starts, as files of this host.
func inDrives(vm *simulator.VirtualMachine, kind string) []string {
	made := []string{}
	for _, device := range vm.Config.Hardware.Device {
		own := device.GetVirtualDevice()
		backing, ok := own.Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if reflect.TypeOf(device).Elem().Name() != kind || !ok || own.Connectable == nil || !own.Connectable.StartConnected {
			continue
		}
		made = append(made, fileOf(vm, backing.GetVirtualDeviceFileBackingInfo().FileName))
	}
	return made
}

// fileOf is where a file of the machine's datastores lies on this host; "" for none of them.
func fileOf(vm *simulator.VirtualMachine, name string) string {
	var file object.DatastorePath
	file.FromString(name)
	for _, each := range vm.Datastore {
		if store := simulator.Map.Get(each).(*simulator.Datastore); store.Name == file.Datastore {
			return path.Join(store.Info.GetDatastoreInfo().Url, file.Path)
		}
	}
	return ""
}

// watch passes on what the guest sets as guestinfo, and switches it off where it does so itself.
func (s *StandIn) watch(vm *simulator.VirtualMachine, boot int) {
	for s.ground != nil && s.powered(vm.Self, 0) == boot {
		time.Sleep(200 * time.Millisecond)
		var found struct {
			Off bool
			Set map[string]string
		}
		if s.ground.order("watch", words{"vm": vm.Self.Value}, &found) != nil {
			return
		}
		options := vm.Config.ExtraConfig
		for key, value := range found.Set {
			options = append(options, &types.OptionValue{Key: key, Value: value})
		}
		if len(found.Set) > 0 {
			update(vm.Self, set("config.extraConfig", lastOfEach(options)))
		}
		if found.Off && s.powered(vm.Self, 0) == boot {
			_ = s.powerOff(vm.Self)
		}
	}
}

// report is what the guest's Tools let the server know, or no more since it is off.
func report(ref reference, up bool, address string) {
	running, status, state, version := "guestToolsNotRunning", "toolsNotRunning", "notRunning", "0"
	if up {
		running, status, state, version = "guestToolsRunning", "toolsOk", "running", "12325"
	}
	update(ref, set("guest.toolsRunningStatus", running), set("guest.guestState", state),
		set("guest.toolsStatus", types.VirtualMachineToolsStatus(status)), set("guest.toolsVersion", version),
		set("guest.toolsVersionStatus2", "guestToolsUnmanaged"), set("guest.guestOperationsReady", up),
		set("summary.guest.toolsRunningStatus", running), set("guest.hostName", map[bool]string{true: "guest"}[up]),
		set("guest.ipAddress", map[bool]string{true: address}[up]))
}

func (s *StandIn) powerOff(ref reference) fault {
	res, err := methods.PowerOffVM_Task(nowhere, s.service, &types.PowerOffVM_Task{This: ref})
	if err != nil {
		return asFault(err)
	}
	if _, wrong := result(res.Returnval); wrong != nil {
		return wrong
	}
	s.powered(ref, 1)
	update(ref, set("runtime.question", nil))
	report(ref, false, "")
	return s.ground.order("stop", words{"vm": ref.Value}, nil)
}

// ends asks the guest to end; it does so after a while, where it does.
func (s *StandIn) ends(ref reference, again bool) fault {
	vm := machine(ref)
	if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		return &types.InvalidPowerState{RequestedState: "poweredOn", ExistingState: vm.Runtime.PowerState}
	}
	if !isUp(vm) {
		return &types.ToolsUnavailable{}
	}
	if !s.settings().Shutdown {
		return nil
	}
	boot := s.powered(ref, 0)
	go func() {
		time.Sleep(300 * time.Millisecond)
		if s.powered(ref, 0) != boot {
			return
		}
		if wrong := s.powerOff(ref); wrong == nil && again {
			_ = s.powerOn(ref)
		}
	}()
	return nil
}

func isUp(vm *simulator.VirtualMachine) bool {
	return vm.Guest != nil && vm.Guest.GuestOperationsReady != nil && *vm.Guest.GuestOperationsReady
}
