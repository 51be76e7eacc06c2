// Package operating holds the commands of whoever runs the Oakum servers.
package operating

import "github.com/oakumhq/oakum/internal/cli/command"

// Commands are the commands of whoever runs the Oakum servers.
func Commands() []func(*command.Env) *command.Command {
	return []func(*command.Env) *command.Command{
		agentCommand, versionCommand, loginCommand, logoutCommand, authExplain, authTest,
		pluginList, pluginVerify, applianceBuild, applianceManifests,
		raftPeers, raftRemove, raftTransfer, raftLeave,
		autopilotGet, autopilotSet, autopilotHealth, rolloutAudit, auditVerify, monitorCommand,
		snapshotSave, command.Reader(snapshotRestore), command.Reader(snapshotInspect), operatorState, operatorDebug,
		eventStream, statusCommand,
	}
}

// Families are the nouns of whoever runs the Oakum servers.
func Families() []command.Family {
	return []command.Family{
		{Name: "plugin", Synopsis: "List and check strategy plugins", Help: `
Strategies are plugins: they propose the stages of a rollout. Two are built in,
phased and blue_green.`},
		{Name: "auth", Synopsis: "Explain and test who may do what", Help: `
Auth rules of the agent's configuration give capabilities to callers by the claims of
their tokens, everywhere or on some jobs, or take them away.`},
		{Name: "appliance", Synopsis: "Make the machine in which scripts run", Help: `
A patch's scripts run in a machine of their own, the appliance, and never on a
Nomad client itself.`},
		{Name: "operator", Synopsis: "Run the Oakum cluster itself", Help: `
Commands for whoever runs the Oakum servers: the Raft cluster, snapshots and
what to send along with a bug report.`},
		{Name: "operator raft", Synopsis: "See and change the Raft cluster", Help: `
The servers of the cluster, and who of them leads.`},
		{Name: "operator autopilot", Synopsis: "See and set how servers are watched", Help: `
Autopilot watches the servers: it gives newcomers their vote once they are
stable, and takes dead servers out while enough others are left.`},
		{Name: "operator snapshot", Synopsis: "Save, restore and inspect the state", Help: `
A snapshot is the whole replicated state in one file.`},
		{Name: "operator audit", Synopsis: "Verify audit logs", Help: `
A server's audit log says who asked for what, what was answered, and what Oakum
did. Each line holds the hash of the one before.`},
		{Name: "event", Synopsis: "Follow the record", Help: `
Everything that Oakum decides and does is an event of the replicated record.`},
	}
}
