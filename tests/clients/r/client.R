# SPDX-License-Identifier: Apache-2.0
# The life cycle of docs/r.md against a running service, with the configuration tests/clients/config.json.
# usage: Rscript client.R URL; the keys are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Exit status 77: no paws.
package <- Filter(function(name) requireNamespace(name, quietly = TRUE), c("paws.compute", "paws"))
if (length(package) == 0) {
  cat("SKIP: neither paws.compute nor paws is installed\n")
  quit(status = 77)
}
url <- commandArgs(trailingOnly = TRUE)[[1]]
ec2 <- getExportedValue(package[[1]], "ec2")(config = list(
  credentials = list(creds = list(
    access_key_id = Sys.getenv("AWS_ACCESS_KEY_ID"), secret_access_key = Sys.getenv("AWS_SECRET_ACCESS_KEY"))),
  endpoint = url, region = "us-east-1"))

# The message of the error that a call must end with.
refused <- function(call) {
  message <- tryCatch({
    call
    ""
  }, error = function(error) paste(c(class(error), conditionMessage(error)), collapse = " "))
  if (message == "") stop("the call was not refused")
  message
}

created <- ec2$create_traffic_mirror_filter(Description = "of R", ClientToken = "r-1")
again <- ec2$create_traffic_mirror_filter(Description = "of R", ClientToken = "r-1")
stopifnot(identical(created, again))
filter <- created$TrafficMirrorFilter$TrafficMirrorFilterId
rule <- ec2$create_traffic_mirror_filter_rule(
  TrafficMirrorFilterId = filter, TrafficDirection = "ingress", RuleNumber = 1, RuleAction = "accept", Protocol = 6,
  DestinationPortRange = list(FromPort = 443, ToPort = 443), SourceCidrBlock = "0.0.0.0/0",
  DestinationCidrBlock = "0.0.0.0/0")$TrafficMirrorFilterRule
stopifnot(rule$DestinationPortRange$FromPort == 443)
target <- ec2$create_traffic_mirror_target(NetworkInterfaceId = "eni-c")$TrafficMirrorTarget$TrafficMirrorTargetId
create <- function(...) ec2$create_traffic_mirror_session(
  NetworkInterfaceId = "eni-s1", TrafficMirrorTargetId = target, TrafficMirrorFilterId = filter, SessionNumber = 1, ...)
stopifnot(grepl("InvalidParameterValue|8501", refused(create(PacketLength = 8501))))
stopifnot(grepl("DryRun|would have succeeded", refused(create(PacketLength = 8500, DryRun = TRUE))))
stopifnot(length(ec2$describe_traffic_mirror_sessions()$TrafficMirrorSessions) == 0)
session <- create(PacketLength = 8500)$TrafficMirrorSession
id <- session$TrafficMirrorSessionId
stopifnot(session$PacketLength == 8500)

changed <- ec2$modify_traffic_mirror_session(TrafficMirrorSessionId = id, RemoveFields = list("packet-length"))
stopifnot(length(changed$TrafficMirrorSession$PacketLength) == 0)
count <- function(value) length(ec2$describe_traffic_mirror_sessions(
  Filters = list(list(Name = "network-interface-id", Values = list(value))))$TrafficMirrorSessions)
stopifnot(count("eni-s1") == 1, count("eni-s2") == 0)

more <- lapply(1:7, function(i) ec2$create_traffic_mirror_filter()$TrafficMirrorFilter$TrafficMirrorFilterId)
seen <- list()
token <- NULL
repeat {
  page <- ec2$describe_traffic_mirror_filters(MaxResults = 5, NextToken = token)
  seen <- c(seen, lapply(page$TrafficMirrorFilters, function(each) each$TrafficMirrorFilterId))
  token <- page$NextToken
  if (length(token) == 0 || !nzchar(token)) break
}
stopifnot(setequal(seen, c(list(filter), more)), length(seen) == 8)

ec2$delete_traffic_mirror_session(TrafficMirrorSessionId = id)
ec2$delete_traffic_mirror_target(TrafficMirrorTargetId = target)
for (each in seen) ec2$delete_traffic_mirror_filter(TrafficMirrorFilterId = each)
stopifnot(length(ec2$describe_traffic_mirror_filters()$TrafficMirrorFilters) == 0)
cat("R: the life cycle is as it should be, with", package[[1]], as.character(utils::packageVersion(package[[1]])), "\n")
