package cli

// commands is every command of the program.
func commands() []func(*env) *command {
	return []func(*env) *command{
		agentCommand, versionCommand,
		reader(policyValidate), reader(policyTest), policyFmt, reader(policyApply), policyList, policyRead, policyDelete,
		reader(patchValidate), reader(patchAffected), reader(patchPlan), reader(patchSubmit),
		patchRehearse, patchList, patchRead, patchQuarantines, patchLift,
		rolloutList, rolloutStatus, rolloutHistory, rolloutReport,
		rolloutApprove, rolloutPause, rolloutResume, rolloutPromote, rolloutAbort, rolloutRollback,
		brakeOn, brakeOff, brakeStatus,
		reader(simulateCommand), simulationList, simulationRead, simulationReport, simulationLogs, simulationCancel,
		workloadRecord, reader(workloadShow), workloadSend, workloadAnswer,
		graphShow, graphImpact, graphFindings, graphDiff, graphWatch, graphExport,
		profileList, profileRead, profileCompare,
		reader(inventoryShow), reader(inventoryDiff),
		pluginList, pluginVerify, applianceBuild,
		raftPeers, raftRemove, raftTransfer, raftLeave,
		autopilotGet, autopilotSet, autopilotHealth, rolloutAudit, monitorCommand,
		snapshotSave, reader(snapshotRestore), reader(snapshotInspect), operatorState, operatorDebug,
		eventStream, statusCommand,
	}
}

// families are the nouns that the commands hang under.
func families() []familyText { return append(patching(), operating()...) }

// patching are the nouns of whoever patches.
func patching() []familyText {
	return []familyText{
		{"policy", "Check, test and apply policies", `
Policies are HCL files that say whether, how and when a patch may go to a
target. validate, test and fmt work offline, for editors and pull requests.

Check a file before it is applied:

    $ oakum policy validate web-tier.hcl

Apply it:

    $ oakum policy apply web-tier.hcl`},
		{"patch", "Plan and submit patches", `
A patch is an HCL file that says what changes, what it fixes and which targets
it is for. Submitting it starts one rollout for each target.

See what would happen, without doing it:

    $ oakum patch plan openssl.hcl

See which images have the fault that it fixes:

    $ oakum patch affected openssl.hcl -inventory=sboms

Submit it, and wait for the end:

    $ oakum patch submit openssl.hcl -wait`},
		{"rollout", "Watch and steer rollouts", `
A rollout is one target's patch being carried out, in stages. Oakum decides by
itself when to go on and when to turn back; these commands show it, and let a
person overrule it.

Watch one until it ends:

    $ oakum rollout status -watch 01JD3M`},
		{"brake", "Hold everything that goes forward", `
The brake holds every rollout at once, running or waiting, until somebody takes it
off. Rollbacks go all the same.

    $ oakum brake on -reason="checkout is slow, incident 4711"
    $ oakum brake status
    $ oakum brake off`},
		{"simulation", "Read the sandbox runs", `
A simulation tries a patch on twins: one with the patch, one without. Start
one with "oakum simulate"; a rollout whose policy asks for it starts its own.`},
		{"workload", "Record and read what twins are sent", `
A workload is what the twins of a simulation are sent: recorded requests and their
mix. A policy names its file, as workload = file("web.ndjson").

Record one from an access log, and look at it:

    $ oakum workload record -out=web.ndjson access.log
    $ oakum workload show web.ndjson`},
		{"graph", "Show which application depends on which", `
The graph is what Oakum knows of the application: services, the edges between
them with the evidence for each, and which targets are critical and why.`},
		{"profile", "Read what is normal for a target", `
A profile holds the baseline of each KPI of a target, learned from Prometheus
and from Nomad.`},
		{"inventory", "Show what is installed", `
An inventory is what is installed in one image or machine: a software bill of
materials, CycloneDX or SPDX as JSON, which a pipeline writes. These commands work
offline, on files.

Show one, and what an update changed:

    $ oakum inventory show web.cdx.json
    $ oakum inventory diff web.cdx.json web-new.cdx.json`},
	}
}

// operating are the nouns of whoever runs the Oakum servers.
func operating() []familyText {
	return []familyText{
		{"plugin", "List and check strategy plugins", `
Strategies are plugins: they propose the stages of a rollout. Two are built in,
phased and blue_green.`},
		{"appliance", "Make the machine in which scripts run", `
A patch's scripts run in a machine of their own, the appliance, and never on a
Nomad client itself.`},
		{"operator", "Run the Oakum cluster itself", `
Commands for whoever runs the Oakum servers: the Raft cluster, snapshots and
what to send along with a bug report.`},
		{"operator raft", "See and change the Raft cluster", `
The servers of the cluster, and who of them leads.`},
		{"operator autopilot", "See and set how servers are watched", `
Autopilot watches the servers: it gives newcomers their vote once they are
stable, and takes dead servers out while enough others are left.`},
		{"operator snapshot", "Save, restore and inspect the state", `
A snapshot is the whole replicated state in one file.`},
		{"event", "Follow the record", `
Everything that Oakum decides and does is an event of the replicated record.`},
	}
}
