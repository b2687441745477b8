extension APIDescription {
  /// The schemas of the description, by name, in JSON5.
  static let schemas = #"""
    {
      Error: {
        type: 'object', required: ['Url', 'Error'],
        properties: {Url: {type: 'string'}, Error: {type: 'string'}},
      },
      Name: {type: 'string'},
      Location: {type: 'string', examples: ['~/backup/NorthwindFS']},
      Time: {
        type: 'string', pattern: '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.]\d{7}Z$',
      },
      TimeOrNull: {anyOf: [{$ref: '#/components/schemas/Time'}, {type: 'null'}]},
      Count: {type: ['integer', 'null'], minimum: 0},
      Item: {type: 'object'},
      ItemOrNames: {anyOf: [{type: 'object'}, {type: 'array', items: {type: 'string'}}]},
      Document: {
        type: 'object',
        properties: {
          Settings: {
            type: ['object', 'null'],
            properties: {'Raven/FileSystem/DataDir': {type: ['string', 'null']}},
          },
          SecuredSettings: {type: ['object', 'null']},
          Disabled: {type: ['boolean', 'null']},
          Retention: {anyOf: [{$ref: '#/components/schemas/Retention'}, {type: 'null'}]},
        },
      },
      Retention: {
        type: 'object', minProperties: 1, additionalProperties: false,
        properties: {
          KeepLast: {$ref: '#/components/schemas/Keep'},
          KeepHourly: {$ref: '#/components/schemas/Keep'},
          KeepDaily: {$ref: '#/components/schemas/Keep'},
          KeepWeekly: {$ref: '#/components/schemas/Keep'},
          KeepMonthly: {$ref: '#/components/schemas/Keep'},
          KeepYearly: {$ref: '#/components/schemas/Keep'},
          KeepWithin: {type: 'string', pattern: '^([1-9][0-9]{0,2}[ymwdh])+$'},
          KeepTags: {type: 'array', items: {type: 'string'}},
          Utc: {type: 'boolean'},
        },
      },
      Keep: {type: 'integer', minimum: 1, maximum: 1000000},
      Statistics: {
        type: 'object',
        required: ['Name', 'Id', 'DataDirectory', 'FileCount', 'TotalBytes', 'CountedAt',
          'LastBackup', 'RunningOperations'],
        properties: {
          Name: {type: 'string'}, Id: {type: 'string'}, DataDirectory: {type: 'string'},
          FileCount: {$ref: '#/components/schemas/Count'},
          TotalBytes: {$ref: '#/components/schemas/Count'},
          CountedAt: {$ref: '#/components/schemas/TimeOrNull'},
          LastBackup: {type: ['object', 'null']},
          RunningOperations: {type: 'array', items: {type: 'integer'}},
        },
      },
      File: {
        type: 'object',
        required: ['Name', 'FullPath', 'Directory', 'TotalSize', 'LastModified', 'Etag',
          'Metadata'],
        properties: {
          Name: {type: 'string'}, FullPath: {type: 'string'}, Directory: {type: 'string'},
          TotalSize: {type: 'integer', minimum: 0},
          LastModified: {$ref: '#/components/schemas/Time'}, Etag: {type: 'string'},
          Metadata: {type: 'object', additionalProperties: {type: 'string'}},
        },
      },
      Snapshot: {
        type: 'object',
        required: ['Id', 'Parent', 'Kind', 'Started', 'Completed', 'FilesystemId',
          'FilesystemName', 'Files', 'Bytes', 'StoredBytes', 'SpeedFactor', 'Errors', 'Tags'],
        properties: {
          Id: {type: 'string'}, Parent: {type: ['string', 'null']},
          Kind: {enum: ['Full', 'Incremental', 'Partial']},
          Started: {$ref: '#/components/schemas/Time'},
          Completed: {$ref: '#/components/schemas/Time'},
          FilesystemId: {type: ['string', 'null']}, FilesystemName: {type: ['string', 'null']},
          Files: {type: 'integer'}, Bytes: {type: 'integer'}, StoredBytes: {type: 'integer'},
          SpeedFactor: {type: ['number', 'null']}, Errors: {type: 'integer'},
          Tags: {type: 'array', items: {type: 'string'}},
        },
      },
      BackupRequest: {
        type: 'object', required: ['BackupLocation'],
        properties: {
          BackupLocation: {$ref: '#/components/schemas/Location'},
          FileSystemDocument: {type: ['object', 'null']},
          Tags: {type: ['array', 'null'], items: {type: 'string'}},
          Excludes: {type: ['array', 'null'], items: {type: 'string'}},
          Shared: {type: ['boolean', 'null']},
        },
      },
      RestoreRequest: {
        type: 'object', required: ['BackupLocation'],
        properties: {
          FilesystemName: {type: ['string', 'null'], examples: ['NewNorthwindFS']},
          BackupLocation: {$ref: '#/components/schemas/Location'},
          FilesystemLocation: {type: ['string', 'null']},
          IndexesLocation: {type: ['string', 'null']}, JournalsLocation: {type: ['string', 'null']},
          Defrag: {type: ['boolean', 'null']},
          RestoreStartTimeout: {type: ['number', 'null'], minimum: 0},
          Snapshot: {type: ['string', 'null']}, SourceFilesystem: {type: ['string', 'null']},
          Paths: {type: ['array', 'null'], items: {type: 'string'}},
        },
      },
      DefragRequest: {
        type: 'object', required: ['BackupLocation'],
        properties: {
          BackupLocation: {$ref: '#/components/schemas/Location'},
          DryRun: {type: ['boolean', 'null']}, Recompress: {type: ['boolean', 'null']},
        },
      },
      PruneRequest: {
        type: 'object', required: ['BackupLocation'],
        properties: {
          BackupLocation: {$ref: '#/components/schemas/Location'},
          DryRun: {type: ['boolean', 'null']},
        },
      },
      VerifyRequest: {
        type: 'object', required: ['BackupLocation'],
        properties: {
          BackupLocation: {$ref: '#/components/schemas/Location'},
          ReadData: {type: ['boolean', 'null']},
        },
      },
      OperationId: {
        type: 'object', required: ['OperationId'],
        properties: {OperationId: {type: 'integer', minimum: 1}},
      },
      Progress: {
        type: 'object',
        required: ['Phase', 'FilesTotal', 'FilesDone', 'BytesTotal', 'BytesDone', 'BytesStored',
          'ChunksNew', 'ChunksDuplicate', 'BytesPerSecond', 'CurrentPath'],
        properties: {
          Phase: {type: 'string'}, FilesTotal: {$ref: '#/components/schemas/Count'},
          FilesDone: {$ref: '#/components/schemas/Count'},
          BytesTotal: {$ref: '#/components/schemas/Count'},
          BytesDone: {$ref: '#/components/schemas/Count'},
          BytesStored: {$ref: '#/components/schemas/Count'},
          ChunksNew: {$ref: '#/components/schemas/Count'},
          ChunksDuplicate: {$ref: '#/components/schemas/Count'},
          BytesPerSecond: {type: 'number'}, CurrentPath: {type: 'string'},
        },
      },
      OperationStatus: {
        type: 'object', required: ['Completed', 'Faulted', 'Canceled', 'State', 'Exception'],
        properties: {
          Completed: {type: 'boolean'}, Faulted: {type: 'boolean'}, Canceled: {type: 'boolean'},
          State: {
            type: 'object', required: ['Progress', 'Error'],
            properties: {
              Progress: {$ref: '#/components/schemas/Progress'},
              Error: {type: ['string', 'null']},
              Messages: {type: 'array', items: {type: 'string'}},
            },
          },
          Exception: {type: 'null'},
        },
      },
      OperationEvent: {
        type: 'object', required: ['event', 'data'],
        properties: {event: {enum: ['progress', 'end']}, data: {type: 'string'}},
      },
      OperationSummary: {
        allOf: [
          {$ref: '#/components/schemas/OperationStatus'},
          {
            type: 'object',
            required: ['Id', 'Type', 'FilesystemName', 'BackupLocation', 'StartTime', 'EndTime'],
            properties: {
              Id: {type: 'integer'},
              Type: {enum: ['Backup', 'Restore', 'Verify', 'Prune', 'Defrag']},
              FilesystemName: {type: ['string', 'null']}, BackupLocation: {type: 'string'},
              StartTime: {$ref: '#/components/schemas/Time'},
              EndTime: {$ref: '#/components/schemas/TimeOrNull'},
            },
          },
        ],
      },
      RestoreStatus: {
        type: 'object', required: ['State', 'Messages'],
        properties: {
          State: {enum: ['Running', 'Completed', 'Faulted']},
          Messages: {type: 'array', items: {type: 'string'}},
        },
      },
      Health: {type: 'object', required: ['Status'], properties: {Status: {const: 'ok'}}},
    }
    """#
}
