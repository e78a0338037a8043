/*
 * Which action a route is in the audit trail. Encrypt, Decrypt, Sign, Verify,
 * Rewrap, Hmac, GenerateDataKey and KeyCreated are the service's own names; the
 * others follow their pattern.
 */
#include "audit.h"

#include <string.h>

#define SECRET "Secret"
#define KEY "CryptoKey"
#define APP "Application"
#define USER "EndUser"
#define ROLE "Role"
#define SHARE "ShareLink"

/* The first line that fits is the one. */
static const struct audit_name names[] = {
    {"GET", "/secrets", "SecretListed", SECRET},
    {"POST", "/secrets", "SecretCreated", SECRET},
    {"POST", "/secrets/import", "SecretImported", SECRET},
    {"GET", "/secrets/{}", "SecretRead", SECRET},
    {"PATCH", "/secrets/{}", "SecretUpdated", SECRET},
    {"DELETE", "/secrets/{}", "SecretDeleted", SECRET},
    {"PUT", "/secrets/{}/value", "SecretRotated", SECRET},
    {"POST", "/secrets/{}/activate", "SecretActivated", SECRET},
    {"POST", "/secrets/{}/deactivate", "SecretDeactivated", SECRET},
    {"GET", "/secrets/{}/history", "SecretHistoryRead", SECRET},
    {"GET", "/secrets/{}/insights", "SecretInsightsRead", SECRET},
    {"POST", "/vault/share", "SecretShared", SHARE},
    {"GET", "/vault/share/by-secret/{}", "ShareLinkListed", SECRET},
    {"DELETE", "/vault/share/{}", "ShareLinkRevoked", SHARE},
    {"POST", "/share/{}", "ShareLinkOpened", SHARE},

    {"POST", "/encrypt", "Encrypt", KEY},
    {"POST", "/decrypt", "Decrypt", KEY},
    {"POST", "/sign", "Sign", KEY},
    {"POST", "/verify", "Verify", KEY},
    {"POST", "/transit/encrypt/{}", "Encrypt", KEY},
    {"POST", "/transit/decrypt/{}", "Decrypt", KEY},
    {"POST", "/transit/rewrap/{}", "Rewrap", KEY},
    {"POST", "/transit/datakey/{}", "GenerateDataKey", KEY},
    {"POST", "/transit/datakey/{}/without-plaintext", "GenerateDataKey", KEY},
    {"POST", "/transit/hmac/{}", "Hmac", KEY},
    {"POST", "/transit/sign/{}", "Sign", KEY},
    {"POST", "/transit/verify/{}", "Verify", KEY},
    {"POST", "/transit/batch/encrypt/{}", "Encrypt", KEY},
    {"POST", "/transit/batch/decrypt/{}", "Decrypt", KEY},
    {"POST", "/transit/keys/{}/config", "KeyConfigured", KEY},
    {"GET", "/keys", "KeyListed", KEY},
    {"POST", "/keys", "KeyCreated", KEY},
    {"POST", "/keys/import", "KeyImported", KEY},
    {"GET", "/keys/{}", "KeyRead", KEY},
    {"PATCH", "/keys/{}", "KeyUpdated", KEY},
    {"DELETE", "/keys/{}", "KeyDeletionScheduled", KEY},
    {"POST", "/keys/{}/rotate", "KeyRotated", KEY},
    {"GET", "/keys/{}/versions", "KeyVersionListed", KEY},
    {"PUT", "/keys/{}/min-decryption-version", "KeyConfigured", KEY},
    {"POST", "/keys/{}/set-default", "KeySetDefault", KEY},
    {"GET", "/keys/{}/public", "PublicKeyRead", KEY},
    {"GET", "/keys/{}/public-key", "PublicKeyRead", KEY},
    {"POST", "/keys/{}/generate-data-key", "GenerateDataKey", KEY},
    {"POST", "/keys/{}/generate-data-key-without-plaintext", "GenerateDataKey",
	KEY},
    {"POST", "/keys/{}/unwrap", "UnwrapKey", KEY},

    {"GET", "/applications", "ApplicationListed", APP},
    {"POST", "/applications/{}/rotate-secret", "ApplicationSecretRotated",
	APP},
    {"GET", "/applications/{}/end-users", "EndUserListed", APP},
    {"POST", "/applications/{}/end-users", "EndUserCreated", USER},
    {"GET", "/applications/{}/end-users/{}", "EndUserRead", USER},
    {"PUT", "/applications/{}/end-users/{}", "EndUserUpdated", USER},
    {"DELETE", "/applications/{}/end-users/{}", "EndUserDeleted", USER},
    {"POST", "/applications/{}/end-users/{}/block", "EndUserBlocked", USER},
    {"POST", "/applications/{}/end-users/{}/unblock", "EndUserUnblocked",
	USER},
    {"POST", "/applications/{}/end-users/{}/unlock", "EndUserUnlocked", USER},
    {"POST", "/applications/{}/end-users/{}/generate-temporary-password",
	"TemporaryPasswordGenerated", USER},
    {"GET", "/applications/{}/end-users/{}/roles", "RoleAssignmentListed",
	USER},
    {"POST", "/applications/{}/end-users/{}/roles", "RoleAssigned", USER},
    {"DELETE", "/applications/{}/end-users/{}/roles/{}", "RoleUnassigned",
	USER},
    {"GET", "/endusers", "EndUserListed", USER},
    {"POST", "/endusers", "EndUserCreated", USER},
    {"POST", "/endusers/{}/block", "EndUserBlocked", USER},
    {"POST", "/endusers/{}/unblock", "EndUserUnblocked", USER},
    {"DELETE", "/endusers/{}/permanent", "EndUserDeleted", USER},
    {"GET", "/roles", "RoleListed", ROLE},

    {"POST", "/team/invitations", "InvitationCreated", "Invitation"},
    {"PATCH", "/settings/security", "SettingsUpdated", "Settings"},
    {"GET", "/ssh/ca", "SshCaListed", "SshCa"},
    {"POST", "/ssh/ca", "SshCaCreated", "SshCa"},
    {"GET", "/ssh/certificates", "SshCertificateListed", "SshCertificate"},
    {"POST", "/ssh/certificates", "SshCertificateIssued", "SshCertificate"},
    {"GET", "/cas", "CaListed", "Ca"},
    {"POST", "/cas", "CaCreated", "Ca"},
    {"GET", "/cas/{}/crl", "CrlRead", "Ca"},
    {"GET", "/certificates", "CertificateListed", "Certificate"},
    {"POST", "/certificates", "CertificateIssued", "Certificate"},
    {"GET", "/billing/subscription", "SubscriptionRead", "Billing"},
    {"GET", "/billing/usage", "UsageRead", "Billing"},
    {"GET", "/usage/storage", "StorageUsageRead", "Usage"},
    {"GET", "/rate-limit", "RateLimitRead", "ApiKey"},
    {"GET", "/audit", "AuditLogRead", "AuditLog"},
    {"GET", "/audit-logs", "AuditLogRead", "AuditLog"},
    {"POST", "/qrng/entropy", "EntropyDrawn", "Qrng"},

    {"GET", "/resource-groups", "ResourceGroupListed", "ResourceGroup"},
    {"POST", "/resource-groups/{}/items", "ResourceGroupItemAdded",
	"ResourceGroup"},
    {"DELETE", "/resource-groups/{}/items/{}", "ResourceGroupItemRemoved",
	"ResourceGroup"},
    {"GET", "/log-streams", "LogStreamListed", "LogStream"},
    {"POST", "/log-streams/{}/activate", "LogStreamActivated", "LogStream"},
    {"POST", "/log-streams/{}/deactivate", "LogStreamDeactivated",
	"LogStream"},
    {"POST", "/log-streams/{}/test", "LogStreamTested", "LogStream"},
    {"POST", "/compliance/{}/checks/{}/risk-acceptance", "RiskAccepted",
	"RiskAcceptance"},
    {"DELETE", "/compliance/{}/checks/{}/risk-acceptance",
	"RiskAcceptanceRevoked", "RiskAcceptance"},

    /* What has no line of its own, by its first segment. */
    {"GET", "/applications/", "ApplicationRead", APP},
    {"POST", "/applications/", "ApplicationCreated", APP},
    {"PUT", "/applications/", "ApplicationUpdated", APP},
    {"DELETE", "/applications/", "ApplicationDeleted", APP},
    {"GET", "/endusers/", "EndUserRead", USER},
    {"PUT", "/endusers/", "EndUserUpdated", USER},
    {"DELETE", "/endusers/", "EndUserDeactivated", USER},
    {"GET", "/roles/", "RoleRead", ROLE},
    {"POST", "/roles/", "RoleCreated", ROLE},
    {"PUT", "/roles/", "RoleUpdated", ROLE},
    {"PATCH", "/roles/", "RoleUpdated", ROLE},
    {"DELETE", "/roles/", "RoleDeleted", ROLE},
    {"GET", "/resource-groups/", "ResourceGroupRead", "ResourceGroup"},
    {"POST", "/resource-groups/", "ResourceGroupCreated", "ResourceGroup"},
    {"PUT", "/resource-groups/", "ResourceGroupUpdated", "ResourceGroup"},
    {"DELETE", "/resource-groups/", "ResourceGroupDeleted", "ResourceGroup"},
    {"GET", "/log-streams/", "LogStreamRead", "LogStream"},
    {"POST", "/log-streams/", "LogStreamCreated", "LogStream"},
    {"PUT", "/log-streams/", "LogStreamUpdated", "LogStream"},
    {"DELETE", "/log-streams/", "LogStreamDeleted", "LogStream"},
    {"GET", "/compliance/", "ComplianceRead", "Compliance"},
    {"PATCH", "/settings/", "SettingsUpdated", "Settings"},
    {"GET", "/", "ResourceRead", "Resource"},
    {"POST", "/", "ResourceCreated", "Resource"},
    {"PUT", "/", "ResourceUpdated", "Resource"},
    {"PATCH", "/", "ResourceUpdated", "Resource"},
    {"DELETE", "/", "ResourceDeleted", "Resource"},
};

/*
 * Does a route's path fit a line's: "{}" is any parameter, and a line that
 * ends in '/' fits all below it, and what it is below itself.
 */
static bool
fits(const char *line, const char *path)
{
	while (*line != '\0') {
		if (*line == '/' && line[1] == '\0')
			return *path == '/' || *path == '\0';
		if (*line != *path)
			return false;
		if (*line == '{') {
			path = strchr(path, '}');
			line = strchr(line, '}');
		}
		line++;
		path++;
	}
	return *path == '\0';
}

const struct audit_name *
audit_name_of(const struct route *route)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i].method, route->method) != 0 ||
		    !fits(names[i].path, route->path))
			continue;
		/* The last lines fit anything. */
		if (route->scope == NULL && names[i].path[1] == '\0')
			return NULL;
		return &names[i];
	}
	return NULL;
}
