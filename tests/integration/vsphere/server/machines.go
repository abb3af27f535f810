package main

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"log"
	"os"
	"path"
	"reflect"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func (s *StandIn) machineCalls() {
	s.calls["CreateVM_Task"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.CreateVM_Task)
		work := func() (types.AnyType, fault) { return anyOf(s.created(req)) }
		return &types.CreateVM_TaskResponse{Returnval: begun(req.This, "createVm", work)}, nil
	}
	s.calls["Rename_Task"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.Rename_Task)
		work := func() (types.AnyType, fault) { return nil, s.renamed(req) }
		return &types.Rename_TaskResponse{Returnval: begun(req.This, "rename", work)}, nil
	}
	s.calls["ReconfigVM_Task"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.ReconfigVM_Task)
		work := func() (types.AnyType, fault) { return nil, s.reconfigured(req) }
		return &types.ReconfigVM_TaskResponse{Returnval: begun(req.This, "reconfigVm", work)}, nil
	}
	s.calls["CloneVM_Task"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.CloneVM_Task)
		if s.esx {
			return nil, &types.NotSupported{}
		}
		work := func() (types.AnyType, fault) { return anyOf(s.cloned(req)) }
		return &types.CloneVM_TaskResponse{Returnval: begun(req.This, "clone", work)}, nil
	}
	s.calls["CreateSnapshot_Task"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.CreateSnapshot_Task)
		work := func() (types.AnyType, fault) { return s.snapshot(req) }
		return &types.CreateSnapshot_TaskResponse{Returnval: begun(req.This, "createSnapshot", work)}, nil
	}
	s.calls["Destroy_Task"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.Destroy_Task)
		work := func() (types.AnyType, fault) { return nil, s.destroyed(req) }
		return &types.Destroy_TaskResponse{Returnval: begun(req.This, "destroy", work)}, nil
	}
	s.calls["CreateScreenshot_Task"] = func(body interface{}) (interface{}, fault) {
		ref := body.(*types.CreateScreenshot_Task).This
		work := func() (types.AnyType, fault) { return screenshot(ref) }
		return &types.CreateScreenshot_TaskResponse{Returnval: begun(ref, "createScreenshot", work)}, nil
	}
	s.powerCalls()
}

func anyOf(ref reference, wrong fault) (types.AnyType, fault) {
	if wrong != nil {
		return nil, wrong
	}
	return ref, nil
}

// taken says who else bears the name in the folder.
func taken(folder reference, name string, but reference) fault {
	found, ok := simulator.Map.Get(folder).(*simulator.Folder)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: folder}
	}
	for _, child := range found.ChildEntity {
		if vm := machine(child); vm != nil && child != but && vm.Name == name {
			return &types.DuplicateName{Name: name, Object: child}
		}
	}
	return nil
}

func (s *StandIn) created(req *types.CreateVM_Task) (reference, fault) {
	if wrong := taken(req.This, req.Config.Name, reference{}); wrong != nil {
		return reference{}, wrong
	}
	res, err := methods.CreateVM_Task(nowhere, s.service, req)
	if err != nil {
		return reference{}, asFault(err)
	}
	made, wrong := result(res.Returnval)
	if wrong != nil {
		return reference{}, wrong
	}
	return made.(reference), nil
}

func (s *StandIn) renamed(req *types.Rename_Task) fault {
	vm := machine(req.This)
	if wrong := taken(*vm.Parent, req.NewName, vm.Self); wrong != nil {
		return wrong
	}
	name := req.NewName
	update(vm.Self, set("name", name), set("config.name", name), set("summary.config.name", name))
	return nil
}

// reconfigured has one value for each key of extraConfig, the last; an empty one removes it.
func (s *StandIn) reconfigured(req *types.ReconfigVM_Task) fault {
	vm := machine(req.This)
	if req.Spec.Name != "" {
		if wrong := taken(*vm.Parent, req.Spec.Name, vm.Self); wrong != nil {
			return wrong
		}
	}
	for _, change := range req.Spec.DeviceChange {
		device := change.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice()
		if device.DeviceInfo == nil {
			device.DeviceInfo = &types.Description{}
		}
	}
	res, err := methods.ReconfigVM_Task(nowhere, s.service, req)
	if err != nil {
		return asFault(err)
	}
	if _, wrong := result(res.Returnval); wrong != nil {
		return wrong
	}
	update(vm.Self, set("config.extraConfig", lastOfEach(vm.Config.ExtraConfig)))
	return nil
}

func lastOfEach(options []types.BaseOptionValue) []types.BaseOptionValue {
	made := []types.BaseOptionValue{}
	for number, option := range options {
		own := option.GetOptionValue()
		kept := own.Value != ""
		for _, other := range options[number+1:] {
			kept = kept && other.GetOptionValue().Key != own.Key
		}
		if kept {
			made = append(made, option)
		}
	}
	return made
}

// cloned is one with disks of its own above those of a snapshot, or a copy.
func (s *StandIn) cloned(req *types.CloneVM_Task) (reference, fault) {
	source, spec := machine(req.This), req.Spec
	linked := spec.Location.DiskMoveType == string(types.VirtualMachineRelocateDiskMoveOptionsCreateNewChildDiskBacking)
	from, config := source.Self, source.Config
	if spec.Snapshot != nil {
		snapshot, ok := simulator.Map.Get(*spec.Snapshot).(*simulator.VirtualMachineSnapshot)
		if !ok || snapshot.Vm != source.Self {
			return reference{}, &types.ManagedObjectNotFound{Obj: *spec.Snapshot}
		}
		from, config = snapshot.Self, &snapshot.Config
	} else if linked {
		return reference{}, &types.InvalidArgument{InvalidProperty: "spec.snapshot"}
	}
	create, wrong := s.copyOf(source, config, req)
	if wrong != nil {
		return reference{}, wrong
	}
	made, wrong := s.created(create)
	if wrong != nil {
		return reference{}, wrong
	}
	s.keep(made, s.disksOf(from))
	wrong = s.ground.order("clone", words{"vm": made.Value, "source": from.Value}, nil)
	if wrong == nil && spec.Config != nil {
		wrong = s.reconfigured(&types.ReconfigVM_Task{This: made, Spec: *spec.Config})
	}
	if wrong == nil && spec.Template {
		_, err := methods.MarkAsTemplate(nowhere, s.service, &types.MarkAsTemplate{This: made})
		wrong = asFault(err)
	} else if wrong == nil && spec.PowerOn {
		wrong = s.powerOn(made)
	}
	return made, wrong
}

func (s *StandIn) copyOf(
	source *simulator.VirtualMachine, config *types.VirtualMachineConfigInfo, req *types.CloneVM_Task,
) (*types.CreateVM_Task, fault) {
	location := req.Spec.Location
	made := &types.CreateVM_Task{This: req.Folder, Host: source.Runtime.Host}
	if location.Host != nil {
		made.Host = location.Host
	}
	switch {
	case location.Pool != nil:
		made.Pool = *location.Pool
	case source.ResourcePool != nil:
		made.Pool = *source.ResourcePool
	default:
		return nil, &types.InvalidArgument{InvalidProperty: "spec.location.pool"}
	}
	var file object.DatastorePath
	file.FromString(config.Files.VmPathName)
	if location.Datastore != nil {
		store, ok := simulator.Map.Get(*location.Datastore).(*simulator.Datastore)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: *location.Datastore}
		}
		file.Datastore = store.Name
	}
	file.Path = ""
	made.Config = types.VirtualMachineConfigSpec{
		Name: req.Name, GuestId: config.GuestId, Version: config.Version, Firmware: config.Firmware,
		Annotation: config.Annotation, NumCPUs: config.Hardware.NumCPU, MemoryMB: int64(config.Hardware.MemoryMB),
		NumCoresPerSocket: config.Hardware.NumCoresPerSocket, ExtraConfig: config.ExtraConfig,
		Files:        &types.VirtualMachineFileInfo{VmPathName: file.String()},
		DeviceChange: copies(config.Hardware.Device),
	}
	return made, nil
}

// copies are those that a new machine does not have already: its own controllers come with it.
func copies(devices []types.BaseVirtualDevice) []types.BaseVirtualDeviceConfigSpec {
	made := []types.BaseVirtualDeviceConfigSpec{}
	for _, device := range devices {
		operation := types.VirtualDeviceConfigSpecFileOperation("")
		device = shallow(device)
		switch one := device.(type) {
		case *types.VirtualDisk:
			operation = types.VirtualDeviceConfigSpecFileOperationCreate
			one.Backing = &types.VirtualDiskFlatVer2BackingInfo{DiskMode: "persistent"}
		case types.BaseVirtualEthernetCard:
			one.GetVirtualEthernetCard().MacAddress = ""
		case *types.VirtualIDEController, *types.VirtualPS2Controller, *types.VirtualPCIController,
			*types.VirtualSIOController:
			continue
		case types.BaseVirtualController, *types.VirtualCdrom:
		default:
			continue
		}
		made = append(made, &types.VirtualDeviceConfigSpec{
			Operation: types.VirtualDeviceConfigSpecOperationAdd, FileOperation: operation, Device: device,
		})
	}
	return made
}

func shallow(device types.BaseVirtualDevice) types.BaseVirtualDevice {
	made := reflect.New(reflect.TypeOf(device).Elem())
	made.Elem().Set(reflect.ValueOf(device).Elem())
	return made.Interface().(types.BaseVirtualDevice)
}

func (s *StandIn) snapshot(req *types.CreateSnapshot_Task) (types.AnyType, fault) {
	if wrong := s.busy(req.This); wrong != nil {
		return nil, wrong
	}
	res, err := methods.CreateSnapshot_Task(nowhere, s.service, req)
	if err != nil {
		return nil, asFault(err)
	}
	made, wrong := result(res.Returnval)
	if wrong != nil {
		return nil, wrong
	}
	ref := made.(reference)
	s.keep(ref, s.disksOf(req.This))
	return ref, s.ground.order("snapshot", words{"vm": req.This.Value, "snapshot": ref.Value}, nil)
}

// destroyed leaves what others stand on: their disks name it as long as they are there.
func (s *StandIn) destroyed(req *types.Destroy_Task) fault {
	vm := machine(req.This)
	if vm == nil {
		return &types.ManagedObjectNotFound{Obj: req.This}
	}
	if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		return &types.InvalidPowerState{RequestedState: "poweredOff", ExistingState: vm.Runtime.PowerState}
	}
	if wrong := s.busy(req.This); wrong != nil {
		return wrong
	}
	gone := []reference{req.This}
	if vm.Snapshot != nil {
		gone = append(gone, snapshots(vm.Snapshot.RootSnapshotList)...)
	}
	res, err := methods.Destroy_Task(nowhere, s.service, req)
	if err != nil {
		return asFault(err)
	}
	if _, wrong := result(res.Returnval); wrong != nil {
		return wrong
	}
	for _, ref := range gone {
		s.lock.Lock()
		delete(s.disks, ref)
		s.lock.Unlock()
		simulator.Map.Remove(ref)
		if wrong := s.ground.order("destroy", words{"vm": ref.Value}, nil); wrong != nil {
			return wrong
		}
	}
	return nil
}

func snapshots(tree []types.VirtualMachineSnapshotTree) []reference {
	made := []reference{}
	for _, each := range tree {
		made = append(append(made, each.Snapshot), snapshots(each.ChildSnapshotList)...)
	}
	return made
}

// screenshot is white: there is no screen.
func screenshot(ref reference) (types.AnyType, fault) {
	vm := machine(ref)
	if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		return nil, &types.InvalidPowerState{RequestedState: "poweredOn", ExistingState: vm.Runtime.PowerState}
	}
	shown := image.NewRGBA(image.Rect(0, 0, 720, 400))
	for number := range shown.Pix {
		shown.Pix[number] = 0xff
	}
	var made bytes.Buffer
	if err := png.Encode(&made, shown); err != nil {
		log.Fatal(err)
	}
	var file object.DatastorePath
	file.FromString(vm.Config.Files.VmPathName)
	file.Path = path.Join(path.Dir(file.Path), fmt.Sprintf("%s-%d.png", vm.Name, time.Now().UnixNano()))
	goal := fileOf(vm, file.String())
	if goal == "" {
		return nil, &types.InvalidDatastore{Name: file.Datastore}
	}
	if err := os.WriteFile(goal, made.Bytes(), 0600); err != nil {
		log.Print(err)
		return nil, &types.FileFault{File: file.String()}
	}
	return file.String(), nil
}
